/* Volley's SDK for rules in C: what a rule defines, and what it asks and answers with.
 *
 * A rule is asked one event at a time and answers with the complete list: who gets what. It has no C library, no files and
 * no clock but what the contract gives; plugin.h is the contract itself, generated, for whatever is not here.
 *
 * Memory: what is allocated while an event is routed (strings, answers, whatever the host returns) is gone once it is
 * answered; nothing has to be freed. What volley_init allocates, and its config, stays. What must outlive the instance
 * belongs in a table or a group.
 *
 * Errors: where the host does not do what it is asked (a bound was reached, an argument makes no sense) these functions log
 * why and trap: one event fails, the next one is routed. To go on instead, call the function of plugin.h. */
#pragma once
#include "plugin.h"

/* ---- Words ---- */

typedef plugin_string_t volley_string; /* UTF-8, or any bytes as a key or a value: ptr and len, no NUL at its end */

#define VOLLEY_STRING(literal) ((volley_string){(uint8_t *)(literal), sizeof(literal) - 1})
volley_string volley_of(const char *text);
bool volley_equal(volley_string a, volley_string b);
/* Whether it begins so, and what follows. */
bool volley_after(volley_string text, const char *prefix, volley_string *rest);
/* %s is a volley_string, %q one in JSON's quotes, %u a uint64_t, %% itself. */
volley_string volley_format(const char *format, ...);

/* ---- What a rule defines ---- */

typedef uint64_t volley_pid; /* a session's address */
typedef volley_router_types_event_t volley_event;

enum { VOLLEY_PUBLISH, VOLLEY_JOIN, VOLLEY_LEAVE, VOLLEY_EXIT, VOLLEY_TIMER }; /* an event's kind */
enum { VOLLEY_JSON, VOLLEY_TEXT, VOLLEY_BINARY };                             /* its data.tag */

/* The complete list, or why there is none. */
typedef struct {
    volley_router_types_outcome_t outcome;
    bool is_refusal;
    volley_router_types_refusal_t refusal;
} volley_answer;

typedef struct {
    const char *name, *version, *description;
} volley_info;

extern const volley_info volley_rule;
/* Once an instance, with the route's config as JSON: opens tables and groups. False, and why, if the config is no good. */
bool volley_init(volley_string config, volley_string *why);
volley_answer volley_route(const volley_event *event);

/* ---- Answers ---- */

typedef volley_router_types_recipients_t volley_recipients;

/* To nobody yet; volley_forward and volley_send add deliveries, in the order in which they arrive. */
volley_answer volley_nothing(void);
/* Of a publish or a join: not allowed (403), or not understood (400). */
volley_answer volley_refused(volley_string words);
volley_answer volley_invalid(volley_string words);
/* The event's own data, unchanged and not copied. */
void volley_forward(volley_answer *answer, volley_recipients to);
void volley_send(volley_answer *answer, volley_recipients to, volley_string json);
/* Ends a subscription to the event's topic. */
void volley_remove(volley_answer *answer, volley_pid pid);

/* All who are subscribed to the event's topic; one session; the members of a group; all of these but one. */
volley_recipients volley_subscribers(void);
volley_recipients volley_only(volley_pid pid);
volley_recipients volley_members(const char *scope, volley_string group);
volley_recipients volley_but(volley_recipients all, volley_pid pid);

/* ---- What a rule keeps ---- */

typedef volley_router_ets_borrow_table_t volley_table;
typedef volley_router_pg_borrow_scope_t volley_scope;

/* A set: one value a key. An object is gone ttl_ms after its last write; 0: it stays. */
volley_table volley_table_open(const char *name, uint64_t ttl_ms);
bool volley_get(volley_table table, volley_string key, volley_string *value);
void volley_put(volley_table table, volley_string key, volley_string value);
/* Only if the key is not there; whether it did. */
bool volley_put_new(volley_table table, volley_string key, volley_string value);
/* Whether it was there. */
bool volley_delete(volley_table table, volley_string key);
/* Adds to a counter that starts at 0; its new value. */
int64_t volley_add(volley_table table, volley_string key, int64_t increment);

/* Groups of sessions; a session that ends leaves them all. */
volley_scope volley_scope_open(const char *name);
void volley_join(volley_scope scope, volley_string group, volley_pid pid);
void volley_leave(volley_scope scope, volley_string group, volley_pid pid);
uint64_t volley_size(volley_scope scope, volley_string group);

/* ---- Besides ---- */

enum { VOLLEY_ERROR, VOLLEY_WARNING, VOLLEY_INFO, VOLLEY_DEBUG };
void volley_log(uint8_t level, volley_string message);
void *volley_alloc(size_t size);
/* Fails the event with a 502, and says why in the log. */
_Noreturn void volley_trap(volley_string why);
