"""What 9P2000.u has and 9P2000.L has not: Topen, Tcreate, Tstat, Twstat, and directories as stats.

Sources: the 9P2000.u draft, and section 5 of the Plan 9 manual where the draft is silent.  Where
Linux (``fs/9p``) needs something else, the function says so.
"""
