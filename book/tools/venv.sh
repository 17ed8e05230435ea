# Make the environment (.venv, or the folder named) with the first suitable Python, unless one is there that works.
# A launcher that is on the path may still not start, so each one is tried.
#     sh book/tools/venv.sh [FOLDER [PYTHON ...]]
folder=${1:-.venv}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- python3.13 python3.12 python3.11 python3
suitable='import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'

say() {
    printf '%s\n' "$@" >&2
    exit 1
}

if [ -e "$folder" ] && [ ! -d "$folder" ]; then
    say "$folder is a file, and the environment needs a folder of that name: move the file away."
fi
if [ -d "$folder" ] && [ ! -w "$folder" ]; then
    owner=$(ls -ld "$folder" | awk '{ print $3 }')
    say "$folder cannot be written by you ($(id -un)): it belongs to $owner." \
        "Run make as $owner, or remove the folder (as its owner) and run make again."
fi
if [ ! -d "$folder" ] && [ ! -w . ]; then
    say "This folder cannot be written by you ($(id -un)), and the environment is installed into it." \
        "Copy the book into a folder of your own and run make there."
fi
case $PWD in *:*) say "Python makes no environment in a folder whose path holds a colon: $PWD. Rename the folder." ;; esac

# What stands here is used if its Python starts, is in the range, and has pip (or can be given one).
if "$folder/bin/python" -c "$suitable" 2>/dev/null; then
    "$folder/bin/python" -c 'import pip' 2>/dev/null && exit 0
    "$folder/bin/python" -m ensurepip >/dev/null 2>&1 && exit 0
fi

# The name of a Python is one word; a path given as PYTHON may hold spaces.
try() {
    "$1" -c "$suitable" 2>/dev/null || return
    found=$1
    "$1" -c 'import ensurepip, venv' 2>/dev/null || return
    [ -d "$folder" ] && echo "$folder does not work any more (its Python or its pip is gone): it is made anew"
    "$1" -m venv --clear "$folder" >"${TMPDIR:-/tmp}/venv.$$" 2>&1 && rm -f "${TMPDIR:-/tmp}/venv.$$" && exit 0
    cat "${TMPDIR:-/tmp}/venv.$$" >&2
    rm -f "${TMPDIR:-/tmp}/venv.$$"
    say "$1 could not make an environment in $folder, for the reason above (is the disk full?)."
}

if [ -n "${PYTHON:-}" ]; then
    try "$PYTHON"
else
    for python; do try "$python"; done
fi
if [ -n "${found:-}" ]; then
    say "$found cannot make virtual environments: its module ensurepip is missing." \
        "On Debian and Ubuntu: sudo apt install ${found##*/}-venv"
elif [ -n "${PYTHON:-}" ]; then
    say "PYTHON=$PYTHON is no Python 3.11, 3.12 or 3.13 that starts; the book needs one of them."
else
    say "The book needs Python 3.11, 3.12 or 3.13; none was found on the path." \
        "If it is elsewhere: make book PYTHON=/path/to/python3.13"
fi
