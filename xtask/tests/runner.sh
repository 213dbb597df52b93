#!/bin/sh
# Stands in for `cargo xtask run`: writes what a run leaves, and each begin into a ledger beside itself.
set -eu
here=$(dirname "$0")
patch=tree
while [ $# -gt 0 ]; do
    case $1 in
    --out) out=$2 ;;
    --variant) patch=${2%%=*} ;;
    --scenario) scenario=$2 ;;
    --seed) seed=$2 ;;
    run) config=$2 ;;
    esac
    shift
done
cell=$(basename "$(dirname "$out")")
echo "$cell" >>"$here/ledger"
mkdir "$out"
echo '{"state":"running","started":"2026-01-01T00:00:00Z"}' >"$out/state.json"
seconds=$here/seconds-${SLURMD_NODENAME:-}
[ -e "$seconds" ] || seconds=$here/seconds
sleep "$(cat "$seconds")"
outcome=pass
if [ -e "$here/$cell" ]; then
    read -r outcome <"$here/$cell"
    sed -i 1d "$here/$cell"
    [ -s "$here/$cell" ] || rm "$here/$cell"
fi
[ "$outcome" != none ] || exit 4
cat >"$out/part" <<END
{"schema":1,"outcome":"$outcome","kernel":{"version":"7.3.4","source":"s","tree_hash":"h"},
"patch":{"files":[],"sha256":""},"host":{"cpus":$(nproc),"accel":"tcg","qemu":"7"},"seed":$seed,
"started":"$(date -u +%FT%TZ)","elapsed_s":1.5,"command":["cargo","xtask","run","--locked"],"comparisons":[{"config":"$config","scenario":"$scenario",
"base":"base","variant":"$patch","outcome":"$outcome","findings":[{"kind":"splat","class":"kasan",
"title":"KASAN: 100%, in f\u001b[31m","status":"new","count":1,"first_s":null,"evidence":"e"}],
"exercise":{},"detectors":{},"measures":[],"reasons":[]}]}
END
for side in base "$patch"; do
    mkdir "$out/$side-1"
    cat >"$out/$side-1/record.json" <<END
{"cell":{"id":"$side-1","config":"$config","scenario":"$scenario","variant":"$side"},"hello_s":3,"elapsed_s":50}
END
done
mv "$out/part" "$out/verdict.json"
echo '{"state":"done","started":"2026-01-01T00:00:00Z"}' >"$out/state.part"
mv "$out/state.part" "$out/state.json"
# Goes on after its verdict, as one that is stopped by a budget may.
[ ! -e "$here/after" ] || exec sleep "$(cat "$here/after")"
