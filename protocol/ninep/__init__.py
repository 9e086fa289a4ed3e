"""9P2000.L and 9P2000.u: messages, their codec, and the numbers both ends share."""
