#!/bin/sh
# In a container of the local loop: `run` runs the service until it is told to stop, and `restart` has it started anew.
pid=/tmp/service.pid
case $1 in
  run)
    trap 'kill $(cat $pid); wait; exit' TERM INT
    while :; do
      dotnet "/app/SpegelDapr.$PROJECT.dll" &
      echo $! >$pid
      wait $!
      code=$?
      # Only a restart is a reason to go on; whatever else ends it is for Kubernetes to see.
      [ -f /tmp/restart ] || exit $code
      rm /tmp/restart
    done
    ;;
  restart)
    touch /tmp/restart
    kill "$(cat $pid)"
    ;;
esac
