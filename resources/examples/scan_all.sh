#!/bin/sh
# Scans every slide of a folder, one project and one process each, and writes one table of all of them.
#
#   sh scan_all.sh SLIDES OUT [MODEL] [PROCESSES]
#
# SLIDES     folder with slides (100, or any number): files, and OME-Zarr folders NAME.zarr
# OUT        folder for projects, logs and tables; what is done in it is not done again
# MODEL      name or folder of a model (li-ion)
# PROCESSES  how many slides are scanned at the same time (1): each needs about 2 GB of memory
#
# In OUT, where NAME is that of the slide with its extension, as a.png and a.tif are two slides: NAME.mqc (project), NAME.jsonl (what the command told, one JSON object per line), NAME.done, summary.csv (counts, densities
# and intervals of all slides), failed.txt (names and reasons). Exit code: 0 when all slides were scanned, 2 when some were not.
set -u

if [ "${1:-}" = "--one" ]; then # how this script calls itself for one slide
    slide=$2 out=$3 model=$4
    name=$(basename "$slide")
    [ -e "$out/$name.done" ] && exit 0
    if [ ! -e "$out/$name.mqc" ]; then
        microscope-qc new "$out/$name.mqc" "$slide" --json-lines >"$out/$name.jsonl" 2>/dev/null || exit 0
    fi
    # what was interrupted continues; a slide that fails is told in its log and does not stop the others
    microscope-qc detect "$out/$name.mqc" --model "$model" --json-lines >"$out/$name.jsonl" 2>/dev/null && : >"$out/$name.done"
    exit 0
fi

[ $# -ge 2 ] || { echo "usage: sh scan_all.sh SLIDES OUT [MODEL] [PROCESSES]" >&2; exit 2; }
slides=$1 out=$2 model=${3:-li-ion} processes=${4:-1}
[ -d "$slides" ] || { echo "There is no folder $slides." >&2; exit 2; }
mkdir -p "$out"

find "$slides" -mindepth 1 -maxdepth 1 ! -name '.*' \( -type f -o -type d -iname '*.zarr' \) -print0 | sort -z |
    xargs -0 -r -n 1 -P "$processes" sh -c 'sh "$0" --one "$4" "$2" "$3"' "$0" _ "$out" "$model"

: >"$out/failed.txt"
set --
for log in "$out"/*.jsonl; do
    [ -e "$log" ] || continue
    name=$(basename "$log" .jsonl)
    if [ -e "$out/$name.done" ]; then
        set -- "$@" "$out/$name.mqc"
    else # the last line tells how it ended
        printf '%s: %s\n' "$name" "$(tail -n 1 "$log" | sed 's/.*"error": "\(.*\)", "seconds".*/\1/; s/\\"/"/g')" >>"$out/failed.txt"
    fi
done
[ $# -gt 0 ] && microscope-qc stats "$@" --group-by project --group-by slide --csv "$out/summary.csv" --progress none >/dev/null
echo "$# slides scanned, $(wc -l <"$out/failed.txt") failed. See $out/summary.csv and $out/failed.txt."
[ ! -s "$out/failed.txt" ] || exit 2
