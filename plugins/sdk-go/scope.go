package volley

import (
	pg "volley/internal/contract/volley_router_pg"
)

// Scope is groups of sessions, in the manner of Erlang's pg. A session that ends leaves all its groups before its exits are
// routed, so a count after an exit counts the living.
type Scope struct {
	name  string
	scope *pg.Scope
}

// OpenScope opens it. Its name is the plugin's own.
func OpenScope(name string, reach Reach) (*Scope, error) {
	scope, err := done(pg.ScopeOpen(name, uint8(reach)))
	return &Scope{name, scope}, err
}

// Join says how many were not in the group before. Dead sessions do not join.
func (scope *Scope) Join(group string, pids ...Pid) (uint64, error) {
	return done(scope.scope.Join([]byte(group), pids))
}

// Leave says how many were in the group.
func (scope *Scope) Leave(group string, pids ...Pid) uint64 {
	return scope.scope.Leave([]byte(group), pids)
}

// List is the members, in ascending order. To send to them, [Scope.Members] is enough.
func (scope *Scope) List(group string) []Pid {
	return given(scope.scope.GetMembers([]byte(group)))
}

// Groups is those in which the session is.
func (scope *Scope) Groups(pid Pid) []string {
	return given(texts(scope.scope.WhichGroups(pid)))
}

// Count is how many members the group has.
func (scope *Scope) Count(group string) uint64 {
	return scope.Counts(group)[0]
}

// Counts is how many members each of the groups has, in one call.
func (scope *Scope) Counts(groups ...string) []uint64 {
	return given(scope.scope.Count(terms(groups)))
}
