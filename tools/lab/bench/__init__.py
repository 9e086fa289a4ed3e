"""``make bench-lab``: our backend and another one, under real Xen, in one boot and one guest.

| module | where it runs | what |
|---|---|---|
| ``__main__`` | the host | builds and starts the machine, prints the table |
| ``dom0`` | Dom0 | gives one guest both shares, and asks for the jobs in turn |
| ``profile`` | Dom0 | where the instructions of one operation go |
| ``peers`` | Dom0 | the two backends: how each is started, and its processes |
| ``memory`` | Dom0 | what they take of Dom0's memory, and how long they take to connect |
| ``jobs`` | the guest | what is timed |
| ``table`` | the host | medians, ratios, spread |
"""
