#!/usr/bin/env bash
# A real Apache Kafka for the broker tests: one node on loopback, without a container. `kafka.sh help` lists the commands.
#
# Standard output is for programs (one line from `up`, one from `status`). All that a person reads goes to standard error.
set -euo pipefail

VERSION=4.1.0
START_SECONDS=60
STOP_SECONDS=15

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
port=${APIWARDEN_KAFKA_PORT:-19092}
cache=${APIWARDEN_KAFKA_DIR:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/apiwarden/kafka-$VERSION}
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
# One directory a port, so that two brokers can run side by side. All in it is deleted by `down`.
run=$cache/run-$port

say() { echo "kafka.sh: $*" >&2; }
fail() { say "$*"; exit 1; }

usage() {
    cat <<EOF
Usage: tests/kafka/kafka.sh COMMAND

  up      start Kafka $VERSION and print KAFKA_BOOTSTRAP_SERVERS=host:port; does nothing when it already runs
  down    stop it and delete its data
  pause   stop the broker where it stands, as an outage would; exit code 3 when it is not ours
  resume  let it go on
  only-read TOPIC
          leave everybody only the right to read a topic; exit code 3 when the broker is not ours
  status  print running or stopped; exit code 0 or 3
  log     print the end of the broker's log
  fetch   only download the jars
  help    print this

Settings, from the environment:

  KAFKA_BOOTSTRAP_SERVERS  a broker that already runs: up checks that it answers, and starts nothing
  KAFKA_HOME               an unpacked Kafka: its libs are used, nothing is downloaded
  APIWARDEN_KAFKA_PORT     the port on 127.0.0.1, default 19092; the port after it is taken too
  APIWARDEN_KAFKA_DIR      where jars and data lie, default ~/.cache/apiwarden/kafka-$VERSION
EOF
}

# Is anything listening at host:port? Waits two seconds at most, since a firewalled host may never refuse.
listens() {
    local host=${1%:*} at=${1##*:} dial
    host=${host#[} host=${host%]}
    (exec 3<>"/dev/tcp/$host/$at") 2>/dev/null &
    dial=$!
    for _ in {1..20}; do
        kill -0 "$dial" 2>/dev/null || break
        sleep 0.1
    done
    kill "$dial" 2>/dev/null || true
    wait "$dial" 2>/dev/null
}

# Does the broker on our port serve clients? An open port is not enough: it opens before the broker takes part in the cluster.
# So this asks for metadata (key 3, version 1, no topics) and waits for an answer that names a broker. Answers after the length
# and the correlation id start with the number of brokers, in four bytes; the last of them is not zero once ours is in.
# In bash rather than with Kafka's tools, because each of those takes a second and a half to start.
serves() (
    exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
    printf '\x00\x00\x00\x0e\x00\x03\x00\x01\x00\x00\x00\x01\xff\xff\x00\x00\x00\x00' >&3
    export LC_ALL=C
    for _ in {1..12}; do
        IFS= read -r -d '' -n 1 -t 2 byte <&3 || exit 1
    done
    [[ -n $byte ]]
)

# The process id of the broker we started, if it lives. A process id can be given to another program after a crash, so the
# command line has to name our own configuration.
pid() {
    local id
    id=$(cat "$run/kafka.pid" 2>/dev/null) && [[ -n $id ]] || return 1
    [[ $(ps -ww -o args= -p "$id" 2>/dev/null) == *"$run/server.properties"* ]] && echo "$id"
}

need_java() {
    local version
    version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p') || true
    [[ -n $version ]] || fail "Java 17 or later is missing: install it, or set JAVA_HOME"
    ((version >= 17)) || fail "Java 17 or later is missing: $java is Java $version; install it, or set JAVA_HOME"
}

# Prints the directory that holds the jars, and fetches them first where needed.
jars() {
    if [[ -n ${KAFKA_HOME:-} ]]; then
        [[ -n $(compgen -G "$KAFKA_HOME/libs/kafka_*.jar") ]] || fail "KAFKA_HOME=$KAFKA_HOME has no libs/kafka_*.jar"
        echo "$KAFKA_HOME/libs"
        return
    fi
    # A copy of the pom lies beside the jars it fetched: when the two differ, the jars are of another version.
    if ! cmp -s "$here/pom.xml" "$cache/libs/pom.xml"; then
        command -v mvn >/dev/null || fail "mvn is missing: install Maven, or set KAFKA_HOME to an unpacked Kafka $VERSION"
        say "fetching the jars of Kafka $VERSION into $cache"
        mkdir -p "$cache"
        # Filled aside and then moved, so that an interrupted download is never mistaken for a whole one.
        local aside
        aside=$(mktemp -d "$cache/libs.XXXXXX")
        # shellcheck disable=SC2064 # the name is wanted as it is now
        trap "rm -rf '$aside'" EXIT
        mvn -q -B -f "$here/pom.xml" -Dstyle.color=never dependency:copy-dependencies -DoutputDirectory="$aside" \
            >&2 </dev/null ||
            fail "mvn could not fetch the jars of Kafka $VERSION (its own words are above)"
        cp "$here/pom.xml" "$aside/pom.xml"
        rm -rf "$cache/libs"
        mv "$aside" "$cache/libs"
    fi
    echo "$cache/libs"
}

configure() {
    cat >"$run/server.properties" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$run/data
auto.create.topics.enable=true
# Rights are checked, and all are given but where only-read takes them.
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
# One node cannot keep three copies.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
# Do not wait for more members before the first assignment.
group.initial.rebalance.delay.ms=0
# The default of 50 partitions each makes the first commit and the first transaction wait for 100 directories.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
EOF
}

start() {
    local libs taken
    command -v ps >/dev/null || fail "ps is missing: install procps"
    need_java
    libs=$(jars)
    for taken in "$port" "$((port + 1))"; do
        ! listens "127.0.0.1:$taken" || fail "port $taken is in use by another program: set APIWARDEN_KAFKA_PORT"
    done
    rm -rf "$run"
    mkdir -p "$run"
    configure
    # The cluster's id is any 16 bytes in base64. A fixed one saves starting Java once more to draw it.
    "$java" -cp "$libs/*" kafka.tools.StorageTool format -t apiwarden-kafka-testsA -c "$run/server.properties" \
        >"$run/kafka.log" 2>&1 || fail_with_log "Kafka could not format $run/data"
    nohup "$java" -Xmx768m -Dorg.slf4j.simpleLogger.showDateTime=true \
        -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS -cp "$libs/*" kafka.Kafka "$run/server.properties" \
        >>"$run/kafka.log" 2>&1 </dev/null &
    echo $! >"$run/kafka.pid"
}

fail_with_log() {
    log
    stop
    fail "$1 (the end of its log is above)"
}

await() {
    local deadline=$((SECONDS + START_SECONDS))
    until serves; do
        kill -0 "$(cat "$run/kafka.pid")" 2>/dev/null || fail_with_log "Kafka stopped while it was starting"
        ((SECONDS < deadline)) || fail_with_log "Kafka did not answer on 127.0.0.1:$port within $START_SECONDS seconds"
        sleep 0.1
    done
}

stop() {
    local id
    if id=$(pid); then
        kill "$id" 2>/dev/null || true
        kill -CONT "$id" 2>/dev/null || true # a paused one would not notice
        local deadline=$((SECONDS + STOP_SECONDS))
        while pid >/dev/null; do
            if ((SECONDS >= deadline)); then
                say "Kafka did not stop within $STOP_SECONDS seconds: killing it"
                kill -KILL "$id" 2>/dev/null || true
                deadline=$((SECONDS + STOP_SECONDS))
            fi
            sleep 0.1
        done
    fi
    rm -rf "$run"
}

# The broker that the environment names, if any of its addresses can be reached.
given_listens() {
    local address
    for address in ${KAFKA_BOOTSTRAP_SERVERS//,/ }; do
        listens "${address##*://}" && return
    done
    return 1
}

up() {
    if [[ -n ${KAFKA_BOOTSTRAP_SERVERS:-} ]]; then
        given_listens || fail "no broker answers at KAFKA_BOOTSTRAP_SERVERS=$KAFKA_BOOTSTRAP_SERVERS: unset it to start one"
        echo "KAFKA_BOOTSTRAP_SERVERS=$KAFKA_BOOTSTRAP_SERVERS"
        return
    fi
    pid >/dev/null || start
    await
    echo "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:$port"
}

# Prints the process id of the broker that the tests talk to, if it is the one we started.
ours() {
    if [[ ${KAFKA_BOOTSTRAP_SERVERS:-127.0.0.1:$port} != "127.0.0.1:$port" ]] || ! pid; then
        say "no broker of ours on port $port"
        return 3
    fi
}

# Sends a signal to it.
send() {
    local id
    id=$(ours) || return
    kill "-$1" "$id"
}

# One right that is given takes all others.
only_read() {
    local libs
    ours >/dev/null || return
    libs=$(jars)
    "$java" -cp "$libs/*" org.apache.kafka.tools.AclCommand --bootstrap-server "127.0.0.1:$port" \
        --add --allow-principal 'User:*' --operation Read --topic "$1" >/dev/null 2>&1 || fail "could not take rights of $1"
}

status() {
    if [[ -n ${KAFKA_BOOTSTRAP_SERVERS:-} ]]; then
        given_listens && echo running && return
    elif pid >/dev/null && serves; then
        echo running
        return
    fi
    echo stopped
    return 3
}

log() { tail -n 40 "$run/kafka.log" >&2 || true; }

if [[ ! $port =~ ^[1-9][0-9]{0,4}$ ]] || ((port > 65534)); then
    fail "APIWARDEN_KAFKA_PORT=$port is not a port from 1 to 65534"
fi

case ${1:-help} in
up) up ;;
down) stop ;;
pause) send STOP ;;
resume) send CONT ;;
only-read) only_read "${2:?name a topic}" ;;
status) status ;;
log) log ;;
fetch) [[ -n ${KAFKA_BOOTSTRAP_SERVERS:-} ]] || jars >/dev/null ;;
help | -h | --help) usage ;;
*) usage >&2; fail "no such command: $1" ;;
esac
