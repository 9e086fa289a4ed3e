"""Makes the codec's source text from the schema; ``tools/generate_codec.py`` runs it."""
