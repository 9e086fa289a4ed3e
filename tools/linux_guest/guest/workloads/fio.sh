# Random writes whose every block is read back and checked, buffered and with O_DIRECT.
set -eu
for direct in 0 1; do
    for bs in 4k:4m 128k:32m; do
        fio --name="verify-${bs%:*}-direct$direct" --rw=randwrite --bs="${bs%:*}" --size="${bs#*:}" \
            --direct=$direct --ioengine=psync --verify=crc32c --verify_fatal=1 --end_fsync=1 \
            --output-format=terse --terse-version=3 --invalidate=1 >/run/fio.terse
        # Fields 7 and 48 of the terse format, version 3, are KiB/s read and written.
        echo "${bs%:*} direct=$direct: $(tail -n 1 /run/fio.terse | cut -d ';' -f 7,48) KiB/s read;written"
    done
done
