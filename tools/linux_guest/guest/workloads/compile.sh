# A C project of twenty files, built by make with two jobs, then run, touched and built again.
set -eu
mkdir project
cd project
cat >Makefile <<'END'
program: $(addsuffix .o, $(basename $(wildcard *.c))) ; $(CC) -o $@ $^
%.o: %.c all.h ; $(CC) -O1 -c -o $@ $<
END
for number in $(seq 20); do
    echo "int part$number(int value);" >>all.h
    printf '#include "all.h"\nint part%d(int value) { return value + %d; }\n' "$number" "$number" \
        >"part$number.c"
done
{
    printf '#include <stdio.h>\n#include "all.h"\nint main(void) {\n    int sum = 0;\n'
    for number in $(seq 20); do printf '    sum = part%d(sum);\n' "$number"; done
    printf '    printf("%%d\\n", sum);\n    return 0;\n}\n'
} >main.c
make --silent --jobs=2
test "$(./program)" = 210
make --question
sed -i 's/+ 20/+ 21/' part20.c
make --silent --jobs=2
test "$(./program)" = 211
echo "built, run, built again"
