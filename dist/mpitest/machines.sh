#!/usr/bin/env bash
# In network and UTS namespaces of its own, which are machine a, makes another beside them, b, and runs a command on a:
#
#   machines.sh ADDRESS-A ADDRESS-B RATE DELAY COMMAND...
#
# The program $0.agent ADDRESS COMMAND... runs a command on the other, as ssh would. RATE and DELAY ("" for none) are of
# the line between them, each way.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin # ip, tc

a=$1 b=$2 rate=$3 delay=$4
shift 4

hostname a
unshare --net --uts sleep infinity &
other=$!
trap 'kill $other' EXIT
on_b() { nsenter --target $other --net --uts "$@"; }
until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done

on_b hostname b
ip link set lo up
on_b ip link set lo up
ip link add line type veth peer name line netns $other
ip address add "$a/24" dev line
on_b ip address add "$b/24" dev line
ip link set line up
on_b ip link set line up

# Both ends alike; without netem the rate alone, by tbf.
limited=none
if [ -n "$rate$delay" ]; then
	netem=(tc qdisc add dev line root netem ${delay:+delay "$delay"} ${rate:+rate "$rate"} limit 20000)
	tbf=(tc qdisc add dev line root tbf rate "$rate" burst 128kb latency 50ms)
	if "${netem[@]}" 2>/dev/null && on_b "${netem[@]}" 2>/dev/null; then
		limited="rate ${rate:-any} delay ${delay:-0}"
	elif [ -n "$rate" ] && "${tbf[@]}" 2>/dev/null && on_b "${tbf[@]}" 2>/dev/null; then
		limited="rate $rate"
	fi
fi
echo "line: $limited"

# Launchers of some kinds put ssh's flags before the address.
cat >"$0.agent" <<END
#!/usr/bin/env bash
while [ "\${1#-}" != "\$1" ]; do shift; done
[ "\$1" = "$b" ] || { echo "agent: no machine \$1" >&2; exit 1; }
shift
exec nsenter --target $other --net --uts bash -c "\$*"
END
chmod +x "$0.agent"
"$@"
