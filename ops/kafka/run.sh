#!/usr/bin/env bash
# A real single-node Apache Kafka (KRaft) without Docker: fetch the jars, format once, start, wait until it answers.
#
#   ops/kafka/run.sh start     prints the bootstrap address as its last line
#   ops/kafka/run.sh status    0 when it answers, 1 when not
#   ops/kafka/run.sh stop      ends only what `start` started; the data stays
#
# KAFKA_PORT (19092; the controller takes the next one), TSUNAGU_KAFKA_DIR (.tsunagu/kafka). Needs Java 17+ and Maven.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
dir=${TSUNAGU_KAFKA_DIR:-$root/.tsunagu/kafka}
port=${KAFKA_PORT:-19092}
controller_port=$((port + 1))
version=$(sed -n 's:.*<kafka\.version>\(.*\)</kafka\.version>.*:\1:p' "$here/pom.xml")

jars=$dir/libs-$version
# One folder per port, so that two nodes can stand side by side (a developer's and a test's).
node=$dir/node-$port
pid_file=$node/pid
log=$node/server.log

say() { echo "kafka: $*" >&2; }
die() { say "$*"; exit 1; }

running_pid() {
  # A pid file outlives a crash and a pid may be given away again: it counts only if it still is our Java.
  local pid
  pid=$(cat "$pid_file" 2>/dev/null) || return 1
  [[ $pid =~ ^[0-9]+$ ]] && kill -0 "$pid" 2>/dev/null || return 1
  # `-ww`: the whole line, however narrow the terminal; where COLUMNS is set, ps would cut its end off, and a broker
  # that runs would not be found.
  [[ $(ps -ww -p "$pid" -o args= 2>/dev/null) == *"$node/server.properties"* ]] || return 1
  echo "$pid"
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

# The last line Kafka writes while starting; the port opens a little earlier, when metadata may not be there yet.
ready() { answers && grep -q 'Kafka Server started' "$log" 2>/dev/null; }

need_tools() {
  command -v java >/dev/null || die "Java 17 or newer is needed (Debian: apt-get install openjdk-17-jre-headless)"
  local major
  major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
  [[ ${major:-0} -ge 17 ]] || die "Java 17 or newer is needed, this is ${major:-unknown}"
}

fetch_jars() {
  [[ -f $jars/.complete ]] && return
  command -v mvn >/dev/null || die "Maven is needed once, to fetch Kafka's jars (Debian: apt-get install maven)"
  say "fetching Apache Kafka $version (about 45 MB, once)"
  mkdir -p "$dir"
  # Into a folder of its own first: an interrupted download never looks like a whole one.
  rm -rf "$jars.part"
  mvn --batch-mode --quiet --file "$here/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$jars.part" >"$dir/fetch.log" 2>&1 \
    || { tail -n 20 "$dir/fetch.log" >&2; die "Maven could not fetch the jars; the whole story is in $dir/fetch.log"; }
  rm -rf "$jars"
  mv "$jars.part" "$jars"
  touch "$jars/.complete"
}

configure() {
  mkdir -p "$node"
  sed -e "s|@PORT@|$port|g" -e "s|@CONTROLLER_PORT@|$controller_port|g" -e "s|@DATA@|$node/data|g" \
    "$here/server.properties" >"$node/server.properties"
}

format_once() {
  [[ -f $node/data/meta.properties ]] && return
  say "formatting an empty store"
  local id
  id=$(java -cp "$jars/*" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn kafka.tools.StorageTool random-uuid)
  java -cp "$jars/*" kafka.tools.StorageTool format -t "$id" -c "$node/server.properties" >"$node/format.log" 2>&1 \
    || { tail -n 20 "$node/format.log" >&2; die "formatting failed"; }
}

start() {
  local pid
  if pid=$(running_pid); then
    say "already running (pid $pid)"
  else
    need_tools
    answers && die "port $port is taken by something else; choose another with KAFKA_PORT"
    fetch_jars
    configure
    format_once
    say "starting Apache Kafka $version"
    # Its own session, so that Ctrl-C at the terminal of `make test` does not end the broker with the tests.
    setsid nohup java -Xms256m -Xmx512m -XX:+ExitOnOutOfMemoryError -cp "$jars/*" \
      -Dorg.slf4j.simpleLogger.showDateTime=true -Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd\'T\'HH:mm:ss.SSS \
      -Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn \
      kafka.Kafka "$node/server.properties" >"$log" 2>&1 </dev/null &
    echo $! >"$pid_file"
    wait_until_ready $!
  fi
  echo "127.0.0.1:$port"
}

wait_until_ready() {
  # Our own child, so its pid is nobody else's; and until it has become Java it can't be told by its words.
  local child=$1
  # 60 s by the clock: recovery after a kill reads the logs again and may take a while.
  local deadline=$((SECONDS + 60))
  until ready; do
    kill -0 "$child" 2>/dev/null || { tail -n 20 "$log" >&2; die "it ended while starting; the whole log is $log"; }
    ((SECONDS < deadline)) || { tail -n 20 "$log" >&2; die "not ready after 60 s; the whole log is $log"; }
    sleep 0.2
  done
  say "ready"
}

stop() {
  local pid
  if ! pid=$(running_pid); then
    # Who asks for silence must not be told that there is some while the port is answered.
    answers && die "port $port is answered by something that was not started here"
    rm -f "$pid_file"
    say "not running"
    return
  fi
  kill -TERM "$pid" 2>/dev/null || true  # it may have ended just now
  local deadline=$((SECONDS + 30))
  while kill -0 "$pid" 2>/dev/null; do
    if ((SECONDS >= deadline)); then
      say "does not stop by itself, ending it hard; the data is safe"
      kill -KILL "$pid" 2>/dev/null || true
    fi
    ((SECONDS < deadline + 30)) || die "pid $pid does not end"
    sleep 0.1
  done
  rm -f "$pid_file"
  answers && die "pid $pid has ended, but port $port is answered by something else"
  say "stopped; the data stays in $node/data"
}

status() {
  local pid
  if pid=$(running_pid) && ready; then
    say "running (pid $pid)"
    echo "127.0.0.1:$port"
  else
    say "not running"
    return 1
  fi
}

case ${1:-} in
  start | stop | status) "$1" ;;
  *) die "say start, stop or status" ;;
esac
