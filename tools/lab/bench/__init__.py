"""``make bench-lab``: our backend and another one, under real Xen, in one boot and one guest.

| module | where it runs | what |
|---|---|---|
| ``__main__`` | the host | builds and starts the machine, prints the tables |
| ``table`` | the host | medians, ratios, spread |
| ``results`` | both | what is measured |
| ``dom0`` | Dom0 | one of these comparisons: |
| ``together`` | Dom0 | with QEMU's, both shares in one guest |
| ``apart`` | Dom0 | with Xen's own daemon, one after the other |
| ``peers`` | Dom0 | the backends: how each is started, and its processes |
| ``costs``, ``memory`` | Dom0 | what they take of memory, and how long they take to connect |
| ``turns`` | Dom0 | asks the guest for the jobs |
| ``profile`` | Dom0 | where the instructions of one operation go |
| ``domains`` | Dom0 | how long domains ran |
| ``jobs`` | the guest | what is timed, on a mounted share |
| ``requests``, ``session`` | the guest | the same as requests, without Linux's 9p client |
"""
