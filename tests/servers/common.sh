# What the scripts of this folder share. $dir is the folder of a server.

die() { echo "tests/servers/${0##*/}: $*" >&2; exit 2; }

# The process id in DIR/run/pid, if that process is the server of DIR.
own_pid() {
  local pid
  pid=$(cat "$dir/run/pid" 2>/dev/null) || return 1
  tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" |
    grep -qxF -- "--defaults-file=$dir/my.cnf" || return 1
  echo "$pid"
}
