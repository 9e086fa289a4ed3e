"""Development tools: run as scripts from the project's root, never shipped as a package."""
