package volley

import (
	"bytes"
	"encoding/json"
	"time"

	contract "volley/internal/contract/volley_router_types"
)

// Pid is a session's address. Below 2^53; 0 is nobody's.
type Pid = uint64

// Kind is what happened.
type Kind uint8

const (
	// Publish: somebody published to the topic. May be refused.
	Publish = Kind(contract.EventKindPublish)
	// Join: a session asks to subscribe. May be refused. It is a subscriber when the answer's recipients are looked up.
	Join = Kind(contract.EventKindJoin)
	// Leave: a session has unsubscribed.
	Leave = Kind(contract.EventKindLeave)
	// Exit: a session has ended; one event for each topic that it was subscribed to. It has left all groups already.
	Exit = Kind(contract.EventKindExit)
	// Timed: a timer of [SendAfter] fired.
	Timed = Kind(contract.EventKindTimer)
)

// Reason is why a session left or ended.
type Reason string

const (
	// Normal: the client asked for it.
	Normal Reason = "normal"
	// Shutdown: the node is going down.
	Shutdown Reason = "shutdown"
	// Killed: an operator ended the session.
	Killed Reason = "killed"
	// Timeout: its linger time passed without a request, or its token ran out.
	Timeout Reason = "timeout"
)

// In the contract's order.
var reasons = [...]Reason{Normal, Shutdown, Killed, Timeout}

// Event is what a rule is asked about.
type Event struct {
	// ID grows over a node's life and its restarts. Below 2^53.
	ID    uint64
	Topic string
	Kind  Kind
	// Sender published, joined, left or ended: 0 for timers, and for back-ends that publish without a session.
	Sender Pid
	// User is the name that the sender's session was opened with, or empty.
	User string
	Time time.Time
	// Data is what was published, or what the timer was given; otherwise JSON's null.
	Data Payload
	// Reason is of a leave or an exit, and otherwise empty.
	Reason Reason
	// Params is of a join: what the session gave when it was opened, as JSON; what its token says is under "claims".
	Params string
}

func eventOf(event *contract.Event) *Event {
	reason := Reason("")
	if index := int(event.Reason.Some()); event.Reason.Tag() != 0 && index < len(reasons) {
		reason = reasons[index]
	}
	return &Event{
		ID:     event.Id,
		Topic:  event.Topic,
		Kind:   Kind(event.Kind),
		Sender: event.Sender.Some(),
		User:   event.User.Some(),
		Time:   time.UnixMilli(int64(event.TimeMs)).UTC(),
		Data:   Payload{event.Data, true},
		Reason: reason,
		Params: event.Params.Some(),
	}
}

// Payload is JSON, text or bytes. The zero value is JSON's null.
type Payload struct {
	payload contract.Payload
	is      bool
}

// JSON is for what is JSON already; the host looks whether it is.
func JSON(text []byte) Payload {
	return Payload{contract.MakePayloadJson(bytes.Clone(text)), true}
}

// Text is for words.
func Text(words string) Payload {
	return Payload{contract.MakePayloadText(utf8(words)), true}
}

// Binary is for any bytes.
func Binary(data []byte) Payload {
	return Payload{contract.MakePayloadBinary(bytes.Clone(data)), true}
}

func payloadOf(v any) (Payload, error) {
	if payload, is := v.(Payload); is {
		return payload, nil
	}
	text, err := json.Marshal(v)
	return JSON(text), err
}

func (payload Payload) lower() contract.Payload {
	if !payload.is {
		return contract.MakePayloadJson([]byte("null"))
	}
	return payload.payload
}

// Text is the words, if it is text.
func (payload Payload) Text() (words string, is bool) {
	if payload.lower().Tag() != contract.PayloadText {
		return "", false
	}
	return payload.payload.Text(), true
}

// Binary is the bytes, if it is neither JSON nor text.
func (payload Payload) Binary() (data []byte, is bool) {
	if payload.lower().Tag() != contract.PayloadBinary {
		return nil, false
	}
	return payload.payload.Binary(), true
}

// JSON reads it into what v points to, as [json.Unmarshal] does; a [json.RawMessage] takes it as it is. What is no JSON, or
// not of that shape, is an error that is told the client.
func (payload Payload) JSON(v any) error {
	lowered := payload.lower()
	if lowered.Tag() != contract.PayloadJson {
		return Invalid("this takes JSON")
	}
	if err := json.Unmarshal(lowered.Json(), v); err != nil {
		return Invalid(err.Error())
	}
	return nil
}

// MarshalJSON is for a payload that is a part of something: JSON as it is, text as a string, bytes as one in base64.
func (payload Payload) MarshalJSON() ([]byte, error) {
	switch lowered := payload.lower(); lowered.Tag() {
	case contract.PayloadJson:
		return lowered.Json(), nil
	case contract.PayloadText:
		return json.Marshal(lowered.Text())
	default:
		return json.Marshal(lowered.Binary())
	}
}
