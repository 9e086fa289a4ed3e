"""``xen-fileproxy doctor``: looks at all that serving needs of a Dom0, and says what to do.

A check is a function in the table of its area (one file each): it looks, changes nothing, and
yields what it found, each with a verdict, a line of what is and a line of what to do about it.
"""
