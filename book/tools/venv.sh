# Make .venv with the first suitable Python. A launcher that is on the path may still not start, so each one is tried.
for python in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || continue
    found=$python
    "$python" -c 'import ensurepip, venv' 2>/dev/null || continue
    exec "$python" -m venv .venv
done
if [ -n "$found" ]; then
    echo "$found cannot make virtual environments: its module ensurepip is missing." >&2
    echo "On Debian and Ubuntu: sudo apt install ${found##*/}-venv" >&2
else
    echo "The book needs Python 3.11, 3.12 or 3.13; none was found on the path." >&2
    echo "If it is elsewhere: make book PYTHON=/path/to/python3.13" >&2
fi
exit 1
