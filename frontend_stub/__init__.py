"""The guest's end in user space: xenbus frontend, 9P client and command line."""
