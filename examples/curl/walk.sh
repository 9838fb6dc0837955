#!/usr/bin/env bash
# A framework made of nothing but curl: it subscribes, takes an offer for a task that never ends, and sees
# what acknowledgements are for; it launches a Docker container where there is an engine; it gives an offer
# back, kills its tasks, and leaves.
#
#   examples/curl/walk.sh [HOST:PORT of the master]
#
# Beside curl it needs bash alone. All requests are JSON, posted to one address:
set -euo pipefail
export LC_ALL=C # lengths below are in bytes

MASTER=${1:-127.0.0.1:5050}
API="http://$MASTER/api/v1/scheduler"
ROLE=hello_world_role
LOOP='shell hello world loop' # the ids of tasks may have blanks
DOCKER='docker nginx'

say() { printf '\n== %s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

FOLDER=$(mktemp -d)
# shellcheck disable=SC2317 # called by the trap
cleanup() {
    # The subscription ends with its connection, and the framework with it.
    [[ -z ${STREAM_PID:-} ]] || kill "$STREAM_PID" 2>/dev/null || true
    rm -rf "$FOLDER"
}
trap cleanup EXIT

# ---------------------------------------------------------------------------------------------------------
# Requests and events

# Posts a call that belongs to the subscription. The answer has no body: 202 says that the call was taken,
# and what comes of it comes as events.
call() {
    local answer
    answer=$(curl -sS -X POST "$API" \
        -H 'content-type: application/json' \
        -H "Mesos-Stream-Id: $STREAM_ID" \
        -w '\n%{http_code}' -d "$1")
    [[ ${answer##*$'\n'} == 202 ]] || fail "the master refuses: $answer"
    echo "=> $2: 202 Accepted"
}

# Takes a value out of an event by a pattern, the first that there is. With jq at hand, one would use that.
take() { [[ $EVENT =~ $1 ]] && FOUND=${BASH_REMATCH[1]}; }

# Reads the next event into EVENT and its type into TYPE. Each is a record: its length in bytes, a newline,
# and so many bytes of JSON (the format is called RecordIO).
next() {
    local length
    IFS= read -r -t 60 length <&3 || fail 'the master has fallen silent or has closed the stream'
    IFS= read -r -t 60 -d '' -N "$length" EVENT <&3 || fail 'the stream broke off'
    take '^\{"type":"([A-Z_]+)"' || take ',"type":"([A-Z_]+)"\}$' || fail "an event without a type: $EVENT"
    TYPE=$FOUND
    case $TYPE in
    OFFERS)
        # This walk looks at one offer at a time, and at the first of several.
        take '"id":\{"value":"([^"]+)"' && OFFER=$FOUND
        take '"agent_id":\{"value":"([^"]+)"' && AGENT=$FOUND
        echo "<= OFFERS: $OFFER of agent $AGENT"
        ;;
    RESCIND)
        OFFER= # it is void: its agent is gone, or it was taken back
        echo '<= RESCIND'
        ;;
    UPDATE)
        take '"state":"(TASK_[A-Z_]+)"' && STATE=$FOUND
        take '"task_id":\{"value":"([^"]+)"' && TASK=$FOUND
        take '"uuid":"([^"]+)"' && UUID=$FOUND
        echo "<= UPDATE: '$TASK' is $STATE ($UUID)"
        ;;
    *) echo "<= $TYPE" ;;
    esac
}

# Reads on until there is an offer that was not used yet.
offer() {
    while [[ -z ${OFFER:-} ]]; do next; done
}

# Reads on until an update says that a task is in a state (a pattern).
update() {
    TYPE=
    until [[ $TYPE == UPDATE && $TASK == "$1" && $STATE =~ ^($2)$ ]]; do
        # Updates come again until they are acknowledged: one that is not awaited is no reason to wait on.
        [[ $TYPE != UPDATE || $TASK != "$1" || $STATE =~ STARTING|RUNNING ]] || fail "'$1' has ended: $EVENT"
        next
    done
}

# ---------------------------------------------------------------------------------------------------------
say '1. SUBSCRIBE, and hold the stream of events open in the background'

# Our own name must be one of a user on the agents' machines: tasks run as this user.
exec 3< <(exec curl -sS -N -X POST "$API" -D "$FOLDER/headers" -H 'content-type: application/json' -d '{
  "type": "SUBSCRIBE",
  "subscribe": {
    "framework_info": {
      "user": "'"$(id -un)"'",
      "name": "hello_world_framework",
      "roles": ["'$ROLE'"],
      "capabilities": [{"type": "MULTI_ROLE"}]
    }
  }
}')
STREAM_PID=$!
next
[[ $TYPE == SUBSCRIBED ]] || fail "expected SUBSCRIBED, not $EVENT"
take '"framework_id":\{"value":"([^"]+)"' && FRAMEWORK=$FOUND
# Every further call names the framework, and the subscription that it belongs to.
STREAM_ID=$(sed -n 's/\r$//; s/^mesos-stream-id: //Ip' "$FOLDER/headers")
echo "The framework's id is $FRAMEWORK; it is on the page: http://$MASTER/#/frameworks"

# ---------------------------------------------------------------------------------------------------------
say '2. ACCEPT an offer, for a task that never ends'

# Launches a command: launch ID COMMAND CPUS, on the offer at hand.
launch() {
    call '{
      "framework_id": {"value": "'"$FRAMEWORK"'"},
      "type": "ACCEPT",
      "accept": {
        "offer_ids": [{"value": "'"$OFFER"'"}],
        "operations": [{
          "type": "LAUNCH",
          "launch": {"task_infos": [{
            "name": "'"$1"'",
            "task_id": {"value": "'"$1"'"},
            "agent_id": {"value": "'"$AGENT"'"},
            "command": {"shell": true, "value": "'"$2"'"},
            "resources": [
              {"name": "cpus", "type": "SCALAR", "scalar": {"value": '"$3"'}, "role": "*", "allocation_info": {"role": "'$ROLE'"}},
              {"name": "mem", "type": "SCALAR", "scalar": {"value": 32}, "role": "*", "allocation_info": {"role": "'$ROLE'"}}
            ]
          }]}
        }],
        "filters": {"refuse_seconds": 5.0}
      }
    }' "ACCEPT of '$1'"
    OFFER= # used; what the task left over is offered again after refuse_seconds
}

offer
# shellcheck disable=SC2016 # the variables are the task's
launch "$LOOP" 'i=0; while true; do i=$((i+1)); echo hello world $i; sleep 1; done' 0.1
update "$LOOP" TASK_STARTING
LOOP_AGENT=$AGENT
echo "Its output grows: http://$MASTER/#/tasks"

# ---------------------------------------------------------------------------------------------------------
say '3. ACKNOWLEDGE, without which the same update comes again: let us wait for that, about 10 seconds'

# Confirms the update at hand: acknowledge AGENT
acknowledge() {
    call '{
      "framework_id": {"value": "'"$FRAMEWORK"'"},
      "type": "ACKNOWLEDGE",
      "acknowledge": {"agent_id": {"value": "'"$1"'"}, "task_id": {"value": "'"$TASK"'"}, "uuid": "'"$UUID"'"}
    }' "ACKNOWLEDGE of $STATE"
}

FIRST_UUID=$UUID
update "$LOOP" TASK_STARTING
[[ $UUID == "$FIRST_UUID" ]] || fail 'that is another update'
echo 'The same again. Now we acknowledge it, and the next follows.'
acknowledge "$LOOP_AGENT"
update "$LOOP" TASK_RUNNING
acknowledge "$LOOP_AGENT"

# ---------------------------------------------------------------------------------------------------------
say '4. A Docker container, as a command'

DOCKER_AGENT=
if docker version >/dev/null 2>&1; then
    offer
    launch "$DOCKER" 'exec docker run --rm --name mesos-nginx -p 8080:80 nginx' 0.5
    DOCKER_AGENT=$AGENT
    update "$DOCKER" TASK_STARTING
    acknowledge "$DOCKER_AGENT"
    update "$DOCKER" TASK_RUNNING
    acknowledge "$DOCKER_AGENT"
    echo 'Once the image is there, its page answers: http://localhost:8080'
else
    echo 'No Docker engine answers here, so this step is left out.'
fi

# ---------------------------------------------------------------------------------------------------------
say '5. DECLINE an offer: for 5 seconds it is not made again'

offer
call '{
  "framework_id": {"value": "'"$FRAMEWORK"'"},
  "type": "DECLINE",
  "decline": {"offer_ids": [{"value": "'"$OFFER"'"}], "filters": {"refuse_seconds": 5.0}}
}' DECLINE
OFFER=
offer

# ---------------------------------------------------------------------------------------------------------
say '6. KILL; what is killed is listed as active until its last update is acknowledged'

# Ends a task: end_task ID AGENT
end_task() {
    call '{
      "framework_id": {"value": "'"$FRAMEWORK"'"},
      "type": "KILL",
      "kill": {"task_id": {"value": "'"$1"'"}, "agent_id": {"value": "'"$2"'"}}
    }' "KILL of '$1'"
    # A container may have ended by itself meanwhile, for want of its image.
    update "$1" 'TASK_KILLED|TASK_FAILED|TASK_FINISHED'
    acknowledge "$2"
}

end_task "$LOOP" "$LOOP_AGENT"
[[ -z $DOCKER_AGENT ]] || end_task "$DOCKER" "$DOCKER_AGENT"

# ---------------------------------------------------------------------------------------------------------
say '7. TEARDOWN: the framework ends, and the stream with it'

call '{"framework_id": {"value": "'"$FRAMEWORK"'"}, "type": "TEARDOWN"}' TEARDOWN
cat <&3 >"$FOLDER/rest"
echo 'The end.'
