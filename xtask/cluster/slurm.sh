#!/usr/bin/env bash
# A cluster of one node with two processors on this machine's loopback, from Debian's packages slurm-wlm and munge, to try
# `cargo xtask reproduce --launcher slurm` without one. Everything lies in a folder; as root.
#
#   xtask/cluster/slurm.sh start /tmp/slurm && export SLURM_CONF=/tmp/slurm/slurm.conf && sinfo
#   xtask/cluster/slurm.sh stop /tmp/slurm
set -euo pipefail
[ $# = 2 ] || { echo "usage: $0 start|stop FOLDER" >&2; exit 2; }
action="$1"
mkdir -p "$2"
folder="$(cd "$2" && pwd)"

# ends a process by the file that has its number, and waits for its end
end() {
  [ -s "$folder/$1.pid" ] || return 0
  local id
  id="$(cat "$folder/$1.pid")"
  for _ in $(seq 100); do
    kill "$id" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$id" 2>/dev/null || true
}

case "$action" in
start)
  for program in munged slurmctld slurmd; do
    command -v "$program" >/dev/null || { echo "$program is missing: apt-get install slurm-wlm munge" >&2; exit 3; }
  done
  mkdir -p "$folder/state" "$folder/spool"
  chmod 755 "$folder"
  head -c 1024 /dev/urandom >"$folder/munge.key"
  chmod 400 "$folder/munge.key"
  # ports that nothing listens on
  read -r control node < <(python3 -c '
import socket
held = [socket.socket() for _ in range(2)]
for one in held: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in held))')
  cat >"$folder/slurm.conf" <<CONF
ClusterName=loopback
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmctldPort=$control
SlurmdPort=$node
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
SwitchType=switch/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MaxArraySize=${MAX_ARRAY:-1001}
SchedulerParameters=sched_interval=1,batch_sched_delay=0,default_queue_depth=100
ReturnToService=2
KillWait=10
MailProg=/bin/true
NodeName=n1 NodeHostname=$(hostname) NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes=n1 Default=YES MaxTime=INFINITE State=UP
CONF
  munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"
  export SLURM_CONF="$folder/slurm.conf"
  slurmctld
  slurmd -N n1
  for _ in $(seq 60); do
    [ "$(sinfo --noheader --format=%t 2>/dev/null)" = idle ] && exit 0
    sleep 0.5
  done
  echo "the node does not come up; the logs are in $folder" >&2
  exit 1
  ;;
stop)
  for program in slurmd slurmctld munged; do end "$program"; done
  ;;
*) echo "usage: $0 start|stop FOLDER" >&2; exit 2 ;;
esac
