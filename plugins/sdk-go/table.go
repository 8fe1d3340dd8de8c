package volley

import (
	"iter"
	"math"
	"time"

	ets "volley/internal/contract/volley_router_ets"
	contract "volley/internal/contract/volley_router_types"
	wit "volley/internal/wit/types"
)

// How many objects [Table.All] asks for at a time.
const page = 256

// Reach is how far a table or a scope reaches.
type Reach uint8

const (
	// Node: this node's own.
	Node = Reach(contract.ReachNode)
	// Cluster: shared by all nodes; the same thing on a single node.
	Cluster = Reach(contract.ReachCluster)
)

// TableKind is what a table has under a key.
type TableKind uint8

const (
	// Set: one value.
	Set = TableKind(ets.KindSet)
	// OrderedSet: one value, and its order is promised.
	OrderedSet = TableKind(ets.KindOrderedSet)
	// Bag: several different values.
	Bag = TableKind(ets.KindBag)
)

// TableOptions is how a table is made. The zero value is a set of this node, bounded by the host's own limits.
type TableOptions struct {
	Kind  TableKind
	Reach Reach
	// Durable: kept across restarts of the host.
	Durable bool
	// TTL: an object is gone this long after its last write. 0: it stays.
	TTL time.Duration
	// Bounds of this table; 0: none of its own.
	MaxObjects, MaxBytes uint64
}

// Table has keys and values of any bytes, in the manner of Erlang's ETS. It belongs to the host and outlives the versions of
// the rule. Every call is atomic and isolated. Keys and values are strings here, which hold any bytes in Go.
type Table struct {
	table *ets.Table
}

// OpenTable opens the table, and makes it at the first time. One that is called shared:NAME belongs to the plugin that opened
// it first, and can be read by all others.
func OpenTable(name string, options TableOptions) (*Table, error) {
	bound := func(bound uint64) uint64 {
		if bound == 0 {
			return math.MaxUint64
		}
		return bound
	}
	ttl := wit.None[uint64]()
	if options.TTL > 0 {
		ttl = wit.Some(milliseconds(options.TTL))
	}
	table, err := done(ets.TableOpen(name, ets.Options{
		Kind:       uint8(options.Kind),
		Reach:      uint8(options.Reach),
		Durable:    options.Durable,
		TtlMs:      ttl,
		MaxObjects: bound(options.MaxObjects),
		MaxBytes:   bound(options.MaxBytes),
	}))
	return &Table{table}, err
}

// Object is a key and a value.
type Object struct {
	Key, Value string
}

func objects(all []Object) []ets.Object {
	lowered := make([]ets.Object, len(all))
	for n, one := range all {
		lowered[n] = ets.Object{Key: []byte(one.Key), Value: []byte(one.Value)}
	}
	return lowered
}

// Put writes one object.
func (table *Table) Put(key, value string) error {
	return table.Insert(Object{key, value})
}

// Insert writes them all, or none.
func (table *Table) Insert(all ...Object) error {
	_, err := done(table.table.Insert(objects(all)))
	return err
}

// InsertNew writes them if none of the keys is there, and says whether it did.
func (table *Table) InsertNew(all ...Object) (bool, error) {
	return done(table.table.InsertNew(objects(all)))
}

// Get is what a set has under the key, and whether there is something.
func (table *Table) Get(key string) (string, bool, error) {
	values, err := table.Values(key)
	if err != nil || len(values) == 0 {
		return "", false, err
	}
	return values[0], true, nil
}

// Values is all that a bag has under the key.
func (table *Table) Values(key string) ([]string, error) {
	all, err := table.Lookup(key)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Lookup is the values of several keys, in one call.
func (table *Table) Lookup(keys ...string) ([][]string, error) {
	found, err := done(table.table.Lookup(terms(keys)))
	all := make([][]string, len(found))
	for n, values := range found {
		all[n] = texts(values)
	}
	return all, err
}

// Take is what was under the key, which is gone.
func (table *Table) Take(key string) ([]string, error) {
	values, err := done(table.table.Take([]byte(key)))
	return texts(values), err
}

// Delete says how many objects are gone.
func (table *Table) Delete(keys ...string) (uint64, error) {
	return done(table.table.Delete(terms(keys)))
}

// DeleteObject takes single values from a bag, and says how many are gone.
func (table *Table) DeleteObject(all ...Object) (uint64, error) {
	return done(table.table.DeleteObject(objects(all)))
}

// Add adds to a counter that starts at 0, and says what it is now. A counter is a decimal number, which operators can read.
func (table *Table) Add(key string, increment int64) (int64, error) {
	values, err := table.UpdateCounters(CounterOp{Key: key, Incr: increment})
	if err != nil {
		return 0, err
	}
	return values[0], nil
}

// CounterOp is one step of a counter. As in Erlang, a result past the threshold, in the direction of Incr, becomes Reset.
type CounterOp struct {
	Key           string
	Incr, Default int64
	Threshold     *int64
	Reset         int64
}

// UpdateCounters takes several steps at once, and says what the counters are now.
func (table *Table) UpdateCounters(steps ...CounterOp) ([]int64, error) {
	lowered := make([]ets.CounterOp, len(steps))
	for n, step := range steps {
		threshold := wit.None[wit.Tuple2[int64, int64]]()
		if step.Threshold != nil {
			threshold = wit.Some(wit.Tuple2[int64, int64]{F0: *step.Threshold, F1: step.Reset})
		}
		lowered[n] = ets.CounterOp{Key: []byte(step.Key), Incr: step.Incr, Default: step.Default, Threshold: threshold}
	}
	return done(table.table.UpdateCounter(lowered))
}

// CompareAndSwap writes the value if the old one is there, and says whether it did.
func (table *Table) CompareAndSwap(key, before, after string) (bool, error) {
	return done(table.table.SelectReplace([]byte(key), []byte(before), []byte(after)))
}

// All walks the objects whose keys start with the prefix, in the order of the keys' bytes. Each page is a call of its own, so
// what is written meanwhile may be seen or not. An error comes last, with no object.
func (table *Table) All(prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		after := wit.None[[]uint8]()
		for {
			next, err := done(table.table.Select([]byte(prefix), after, page))
			if err != nil {
				yield(Object{}, err)
				return
			}
			for _, object := range next.Objects {
				if !yield(Object{string(object.Key), string(object.Value)}, nil) {
					return
				}
			}
			if next.Continuation.Tag() == wit.OptionNone {
				return
			}
			after = next.Continuation
		}
	}
}

// Size is how many objects there are.
func (table *Table) Size() uint64 {
	return table.table.Size()
}

func terms(all []string) [][]uint8 {
	lowered := make([][]uint8, len(all))
	for n, one := range all {
		lowered[n] = []byte(one)
	}
	return lowered
}

func texts(all [][]uint8) []string {
	lifted := make([]string, len(all))
	for n, one := range all {
		lifted[n] = string(one)
	}
	return lifted
}
