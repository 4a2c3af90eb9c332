#!/bin/bash
# Runs one job that job.sh has laid down in a folder, once and never again, whatever becomes of who asked for it.
#
#   bash runner.sh FOLDER
folder=$1
exec 9>"$folder/lock"
# Who holds the lock is the job, for as long as it lives: so nobody has to guess by a process number.
flock -w 10 9 || exit 0
# Links, not files: they need no block of their own, so that this works on a disk that is full.
ln -s "$$" "$folder/began" 2>/dev/null || exit 0
mapfile -t arguments <"$folder/arguments"
export PXEAPP_RESULT=$folder/result PXEAPP_LOG=$folder/log
umask 022
cd / || exit 1
bash "$folder/script" "${arguments[@]}" >>"$folder/log" 2>&1 </dev/null 9>&-
code=$?
ln -s "$code" "$folder/exit"
