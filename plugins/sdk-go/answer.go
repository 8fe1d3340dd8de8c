package volley

import (
	"slices"

	contract "volley/internal/contract/volley_router_types"
	wit "volley/internal/wit/types"
)

// Answer is the complete list: deliveries in the order in which each recipient shall receive them.
type Answer struct {
	outcome contract.Outcome
}

// Nothing is for an event of which nobody hears.
func Nothing() Answer {
	return Answer{}
}

// Forward delivers the event's own data, unchanged and not copied.
func Forward(to Recipients) Answer {
	return Nothing().Forward(to)
}

// Send delivers v, as [json.Marshal] writes it, or a [Payload] as it is.
func Send(to Recipients, v any) Answer {
	return Nothing().Send(to, v)
}

// Forward adds a delivery of the event's own data.
func (answer Answer) Forward(to Recipients) Answer {
	return answer.deliver(to, contract.MakeMessageForward())
}

// Send adds a delivery of v.
func (answer Answer) Send(to Recipients, v any) Answer {
	payload, err := payloadOf(v)
	if err != nil {
		panic(err)
	}
	return answer.deliver(to, contract.MakeMessageData(payload.lower()))
}

// Remove ends subscriptions to the event's topic once the deliveries are on their way; no leave is routed for them.
func (answer Answer) Remove(pids ...Pid) Answer {
	answer.outcome.Remove = append(slices.Clip(answer.outcome.Remove), pids...)
	return answer
}

func (answer Answer) deliver(to Recipients, message contract.Message) Answer {
	// Clipped, so that of two answers that begin alike none writes over the other's.
	deliveries := slices.Clip(answer.outcome.Deliveries)
	answer.outcome.Deliveries = append(deliveries, contract.Delivery{To: to.lower(), Message: message})
	return answer
}

// Recipients is a set of sessions: who is in it twice receives once, and who has ended is skipped. The host looks the set
// up when the rule has answered, so that one of a million members is none the larger here. The zero value is nobody.
type Recipients struct {
	// Postfix: operands, and operations that take the two topmost sets.
	steps []contract.SetOp
	// Nothing but the subscribers of the event's own topic.
	isTopic bool
}

// Subscribers is all who are subscribed to the event's topic.
func (event *Event) Subscribers() Recipients {
	all := SubscribersOf(event.Topic)
	all.isTopic = true
	return all
}

// SubscribersOf is all who are subscribed to that topic.
func SubscribersOf(topic string) Recipients {
	return Recipients{steps: []contract.SetOp{contract.MakeSetOpSubscribers(topic)}}
}

// Only is these.
func Only(pids ...Pid) Recipients {
	return Recipients{steps: []contract.SetOp{contract.MakeSetOpPids(slices.Clone(pids))}}
}

// Members is the group's, whom [Scope.List] would name.
func (scope *Scope) Members(group string) Recipients {
	members := wit.Tuple2[string, []uint8]{F0: scope.name, F1: []byte(group)}
	return Recipients{steps: []contract.SetOp{contract.MakeSetOpMembers(members)}}
}

// Or is those of both.
func (recipients Recipients) Or(others Recipients) Recipients {
	return recipients.and(others, contract.MakeSetOpUnion())
}

// And is those who are in both.
func (recipients Recipients) And(others Recipients) Recipients {
	return recipients.and(others, contract.MakeSetOpIntersection())
}

// But is those who are not among the others.
func (recipients Recipients) But(others Recipients) Recipients {
	return recipients.and(others, contract.MakeSetOpSubtract())
}

func (recipients Recipients) and(others Recipients, operation contract.SetOp) Recipients {
	return Recipients{steps: slices.Concat(recipients.operand(), others.operand(), []contract.SetOp{operation})}
}

func (recipients Recipients) operand() []contract.SetOp {
	if len(recipients.steps) == 0 {
		return Only().steps
	}
	return recipients.steps
}

func (recipients Recipients) lower() contract.Recipients {
	switch {
	case recipients.isTopic:
		return contract.MakeRecipientsSubscribers()
	case len(recipients.steps) == 0:
		return contract.MakeRecipientsPids(nil)
	case len(recipients.steps) == 1 && recipients.steps[0].Tag() == contract.SetOpPids:
		return contract.MakeRecipientsPids(recipients.steps[0].Pids())
	default:
		return contract.MakeRecipientsExpr(recipients.steps)
	}
}
