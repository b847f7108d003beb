#!/bin/bash
# The main job, shown on real traffic: unmodified programs, Python and C talk TCP to the kernel from an IP address of
# their own, over a TAP in a network namespace that vanishes with this script.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly ours=10.97.0.2 kernel=10.97.0.1 port=8000
readonly net="tap:t0,ip=$ours/24,gw=$kernel"
# A second wire, for stacks beside the first.
readonly ours_2=10.98.0.2 kernel_2=10.98.0.1
readonly net_2="tap:t1,ip=$ours_2/24,gw=$kernel_2"
bulk=${DEMO_BYTES:-100000000} lossy=${DEMO_LOSSY_BYTES:-10000000}

# ---- outside: tools, build, and a namespace -------------------------------------------------------------------------

outside() {
  # In a checkout what is shown is built first; an installed demonstration shows what is installed.
  local built=''
  if [ -e Cargo.toml ]; then
    .ci/tools build demo
    built=$(realpath -m "${CARGO_TARGET_DIR:-target}")
  else
    have sockeye cc ip unshare curl tcpdump python3 ps wrk nginx redis-server redis-cli
  fi
  work=$(mktemp -d "${TMPDIR:-/tmp}/sockeye-demo.XXXXXX")
  child=
  # unshare heeds no other signal; with it ends the first process of the namespace, and with that all of them.
  trap '[ -z "$child" ] || { kill -KILL $child; wait $child; } 2>/dev/null || true; rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM

  if [ -n "$built" ]; then
    echo "building"
    ${MAKE:-make} --no-print-directory examples >"$work/build.log" 2>&1 </dev/null || { cat "$work/build.log"; exit 1; }
  fi
  ${CC:-cc} -O2 -o "$work/source" demo/source.c

  # A network of its own, and processes of its own: when the first of them ends, the kernel ends the others.
  local -a unshare=(unshare --net --pid --fork --kill-child)
  if [ "$(id -u)" != 0 ]; then
    unshare+=(--user --map-root-user)
  fi
  if ! why=$("${unshare[@]}" true 2>&1); then
    cure_namespace "$why"
  fi
  if ! why=$("${unshare[@]}" ip tuntap add dev t0 mode tap 2>&1); then
    cure_tap "$why"
  fi
  if "${unshare[@]}" --mount-proc true 2>/dev/null; then
    unshare+=(--mount-proc)
  fi
  unset "${!SOCKEYE_@}"
  "${unshare[@]}" "$PWD/demo/run.sh" --inside "$work" "$built" &
  child=$!
  wait $child
}

# Whether these programs are there.
have() {
  local program missing=()
  PATH=$PATH:/usr/sbin:/sbin
  for program; do command -v "$program" >/dev/null || missing+=("$program"); done
  [ ${#missing[@]} = 0 ] || { echo "The demonstration needs what is not installed: ${missing[*]}" >&2; exit 1; }
}

cure_namespace() {
  echo "This machine does not let us make a network namespace: $1"
  if [ "$(id -u)" = 0 ]; then
    echo "In a container: start it with --cap-add SYS_ADMIN --cap-add NET_ADMIN --device /dev/net/tun"
  else
    echo "Run it as root (sudo make demo), or allow user namespaces:"
    echo "  sudo sysctl kernel.unprivileged_userns_clone=1                  (Debian before 11)"
    echo "  sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0      (Ubuntu)"
  fi
  exit 1
} >&2

cure_tap() {
  echo "This machine does not let us make a TAP device: $1"
  if [ ! -e /dev/net/tun ]; then
    echo "/dev/net/tun is missing. Load the module: sudo modprobe tun"
    echo "In a container: start it with --device /dev/net/tun --cap-add NET_ADMIN"
  elif ! (exec 3<>/dev/net/tun) 2>/dev/null; then
    echo "/dev/net/tun does not open. Run it as root (sudo make demo), or: sudo chmod 666 /dev/net/tun"
  else
    echo "Run it as root (sudo make demo)"
  fi
  exit 1
} >&2

# ---- inside: the demo -----------------------------------------------------------------------------------------------

[ -t 1 ] && bold=$'\033[1m' plain=$'\033[0m' || bold='' plain=''
count=0

# title, and what it proves
show() {
  count=$((count + 1))
  printf '\n%s%d. %s%s\n%s\n' "$bold" "$count" "$1" "$plain" "$2"
}

# A command as one would type it.
command_line() {
  local line='' word
  for word; do
    [ -n "$word" ] || word='""'
    line+=" $word"
  done
  printf '  %s$%s%s\n' "$bold" "$(sed "s|$examples/|./|g; s|$work/||g; s|$work|.|g; s|$root/||g" <<<"$line")" "$plain"
}

# Runs a command that is shown, its output indented.
run() {
  if [ -n "${shown:-}" ]; then command_line "$shown"; else command_line "$@"; fi
  timeout 60 "$@" 2>&1 | sed 's/^/  /'
}

# Starts one in the background, its output in the file NAME.log.
start() {
  local name=$1
  shift
  command_line "$@" "&"
  "$@" >"$work/$name.log" 2>&1 &
  started=$!
}

die() {
  echo "$*" >&2
  exit 1
}

# Waits until a command succeeds: what is waited for, the log to show when it never does, the command.
await() {
  local what=$1 log=$2
  shift 2
  for _ in $(seq 200); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.05
  done
  cat "$work/$log.log" >&2
  die "$what does not come"
}

answers() { curl -sS -o /dev/null --max-time 2 "$1"; }
# Whether nobody holds the device.
is_free() { ip -o link show "$1" | grep -q NO-CARRIER; }

# What curl says of a transfer it was asked to report: seconds and bytes.
with_rate() {
  awk '$1 == "took" { printf "  %d bytes in %.2f s: %.2f Gbit/s\n", $3, $2, $3 * 8 / $2 / 1e9; done = 1; next } { print } END { exit !done }'
}

inside() {
  work=$1 built=$2 root=$PWD examples=$2/examples
  if [ -n "$built" ]; then
    PATH=$built/release:$PATH
    export PYTHONPATH=$root/python SOCKEYE_LIBRARY=$built/release/libsockeye.so
  fi
  cd "$work"
  ip link set lo up
  wire t0 $kernel
  wire t1 $kernel_2
  "$work/source" $port >source.log 2>&1 &
  await "the kernel's server" source answers "http://$kernel:$port/1"
  export SOCKEYE_NET=$net
  echo "The kernel is $kernel; on the other end of the wire, TAP t0, is Sockeye: $ours."
  command_line "export SOCKEYE_NET=$net"

  unmodified_programs
  [ -z "$built" ] || embedded_programs
  printf '\n%sAll %d worked.%s\n' "$bold" "$count" "$plain"
}

# A TAP with the kernel's address on this side.
wire() {
  ip tuntap add dev "$1" mode tap
  sysctl -qw "net.ipv6.conf.$1.disable_ipv6=1" 2>/dev/null || true
  ip addr add "$2/24" dev "$1"
  ip link set "$1" up
}

unmodified_programs() {
  mkdir site
  echo "Hello from Python, over a TCP that is not the kernel's." >site/index.html

  show "An unmodified web server" \
    "Python's own, on Sockeye's address; the kernel's curl fetches from it. Handshake, data, close, ARP and IP are ours."
  start python sockeye run -- python3 -m http.server 80 --directory site
  await "Python's server" python answers "http://$ours/"
  run curl -sS -i "http://$ours/"

  show "An unmodified curl at full speed" \
    "It fetches 100 MB from a server of the kernel's through the stack: super-frames, window scaling, autotuning."
  # shellcheck disable=SC2016  # the variable is shown as such
  shown='sockeye run -- curl -sS -o /dev/null -w "$rate" '"http://$kernel:$port/$bulk" \
    run sockeye run -- curl -sS -o /dev/null -w 'took %{time_total} %{size_download}\n' "http://$kernel:$port/$bulk" |
    sed 's/^  took/took/' | with_rate

  nginx_under_load
  redis_on_one_stack
  over_a_bad_line
}

nginx_under_load() {
  show "nginx with two workers, under load" \
    "A daemon that forks: its workers share one listener of the same stack. 50 connections ask; no request may fail."
  cat >nginx.conf <<-END
	worker_processes 2; pid $work/nginx.pid; error_log $work/nginx.log; user root root;
	events { worker_connections 512; }
	http {
	  access_log off; sendfile on; client_body_temp_path $work/body; proxy_temp_path $work/proxy;
	  fastcgi_temp_path $work/fastcgi; uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
	  server { listen 8080; root $work/site; }
	}
	END
  run sockeye run -- nginx -p "$work" -c "$work/nginx.conf"
  await nginx nginx answers "http://$ours:8080/"
  start wrk wrk -t 1 -c 50 -d 2s "http://$ours:8080/"
  local load=$started
  sleep 1
  run sockeye ss -ltnp
  wait "$load" || { cat wrk.log; die "wrk failed"; }
  if grep -E 'Socket errors|Non-2xx' wrk.log; then die "requests failed"; fi
  awk '/requests in/ { printf "  %d requests in %s, none failed; ", $1, substr($4, 1, length($4) - 1) } /^Requests\/sec/ { printf "%d a second\n", $2; done = 1 }
    END { exit !done }' wrk.log
  [ "$(pgrep -c -f 'nginx: worker process')" = 2 ] || die "nginx has not two workers"
  local kernels
  kernels=$(ss -Htln | grep -cv ":$port " || true)
  [ "$kernels" = 0 ] || { ss -tlnp; die "a program listens at the kernel"; }
  echo "  the kernel knows of none of it: ss -tln lists no listener but the kernel's own server"
}

redis_on_one_stack() {
  show "redis, and redis-cli on 127.0.0.1" \
    "Programs of one stack share its loopback, as they would on a machine of their own; the kernel sees the same data."
  start redis sockeye run -- redis-server --save "" --protected-mode no
  await redis redis grep -q "Ready to accept connections" redis.log
  run sockeye run -- redis-cli -h 127.0.0.1 set fish salmon
  run redis-cli -h $ours get fish
  [ "$(redis-cli -h $ours get fish)" = salmon ] || die "the value is lost"
}

over_a_bad_line() {
  show "The same curl over a bad line, recorded" \
    "1 % loss and 10 ms each way for one program, no rights on the far side; what is lost is sent again, every byte is right."
  export SOCKEYE_NET=$net_2
  command_line "export SOCKEYE_NET=$net_2"
  start curl sockeye run --link loss=1%,delay=10ms,seed=7 --pcap bad.pcapng -- \
    curl -sS -o ours "http://$kernel_2:$port/$lossy"
  local fetch=$started
  while kill -0 "$fetch" 2>/dev/null && ! sockeye ss -tH --stack tap-t1 2>/dev/null | grep -q ESTAB; do
    sleep 0.05
  done
  sleep 0.3
  run sockeye ss -tinp --stack tap-t1
  wait "$fetch" || { cat curl.log; die "curl failed"; }
  curl -sS -o theirs "http://$kernel_2:$port/$lossy"
  cmp ours theirs
  echo "  $(stat -c %s ours) bytes, the same as the kernel gets. The capture, as tcpdump and Wireshark read it:"
  await "the end of the stack" curl is_free t1
  summarise bad.pcapng
  export SOCKEYE_NET=$net
}

embedded_programs() {
  show "A Python script with a stack inside" \
    "import sockeye: asyncio, on its own event loop, fetches three pages at once; nothing is preloaded."
  run python3 "$root/python/examples/get.py" "$net_2" "http://$kernel_2:$port/"{1000,20000,300000}

  export SOCKEYE_NET=$net_2
  show "C programs with a stack inside" \
    "Linked with the library: a server for the kernel's curl, and a client at full speed, driven by its own thread."
  start server "$examples/server"
  local server=$started
  await "the C server" server answers "http://$ours_2/"
  run curl -sS "http://$ours_2/"
  kill "$server"
  wait "$server" 2>/dev/null || true
  await "the end of the C server" server is_free t1
  run "$examples/fetch" $kernel_2 $port "/$bulk"
}

# The handshake, and a count of what came and went.
summarise() {
  # Reading a file needs no other user; in a user namespace tcpdump cannot become one, and may only be nobody.
  tcpdump -Z root -nr "$1" >"$work/packets" 2>"$work/complaints" ||
    unshare --user tcpdump -nr "$1" >"$work/packets" 2>>"$work/complaints" || { cat "$work/complaints" >&2; exit 1; }
  grep -m 3 -F '> ' <(grep -F 'Flags' "$work/packets") | cut -c 1-118 | sed 's/^/  /'
  echo "  ..."
  awk -v ours="$ours_2" '
    / ARP, / { arp++ }
    !/Flags/ { next }
    { packets++; mine = index($3, ours) == 1; way[mine]++ }
    /Flags \[S\.?\]/ { syn++ }
    /Flags \[F\.?\]|Flags \[FP\.?\]/ { fin++ }
    /sack / { sack++ }
    match($0, /seq [0-9]+:[0-9]+/) {
      split(substr($0, RSTART + 4, RLENGTH - 4), range, ":")
      if (range[1] + 0 < highest[$3]) again++
      if (range[2] + 0 > highest[$3]) highest[$3] = range[2] + 0
    }
    END {
      printf "  %d TCP packets (%d received, %d sent), %d ARP; ", packets, way[0], way[1], arp
      printf "%d SYN, %d FIN; %d retransmissions seen, %d acknowledgements with SACK blocks\n", syn, fin, again, sack
      exit packets == 0
    }' "$work/packets"
}

case ${1:-} in
  --inside) inside "$2" "$3" ;;
  "") outside ;;
  *) echo "usage: demo/run.sh" >&2; exit 2 ;;
esac
