/* A room with a host. Members hear of each other by name, and what one says reaches the others.
 *
 * Who comes in first is the room's host for good, and may silence others for ten minutes by saying `/mute NAME`. */
#include "volley.h"

const volley_info volley_rule = {"room", "0.1.0", "a room whose host may mute"};

static const uint64_t MUTE_MS = 10 * 60 * 1000;

static volley_table hosts;   /* topic -> the host's name */
static volley_table mutes;   /* topic, a space, a name; gone by itself */
static volley_scope members; /* a group a topic */

bool volley_init(volley_string config, volley_string *why) {
    (void)config, (void)why;
    hosts = volley_table_open("hosts", 0);
    mutes = volley_table_open("mutes", MUTE_MS);
    members = volley_scope_open("members");
    return true;
}

static volley_recipients everyone(const volley_event *event) { return volley_members("members", event->topic); }

static volley_string mute_of(const volley_event *event, volley_string name) {
    return volley_format("%s %s", event->topic, name);
}

static volley_answer join(const volley_event *event) {
    if (!event->user.is_some) return volley_refused(VOLLEY_STRING("say who you are"));
    volley_put_new(hosts, event->topic, event->user.val);
    volley_join(members, event->topic, event->sender.val);
    uint64_t count = volley_size(members, event->topic);
    volley_answer answer = volley_nothing();
    volley_send(&answer, everyone(event), volley_format("{\"joined\":%q,\"members\":%u}", event->user.val, count));
    return answer;
}

/* Of an exit the host has left all groups already. */
static volley_answer left(const volley_event *event) {
    volley_leave(members, event->topic, event->sender.val);
    uint64_t count = volley_size(members, event->topic);
    volley_answer answer = volley_nothing();
    volley_send(&answer, everyone(event), volley_format("{\"left\":%q,\"members\":%u}", event->user.val, count));
    return answer;
}

static volley_answer mute(const volley_event *event, volley_string name) {
    volley_string host;
    bool by_host = volley_get(hosts, event->topic, &host) && event->user.is_some && volley_equal(host, event->user.val);
    if (!by_host) return volley_refused(VOLLEY_STRING("only the host may mute"));
    volley_put(mutes, mute_of(event, name), VOLLEY_STRING(""));
    volley_answer answer = volley_nothing();
    volley_send(&answer, everyone(event), volley_format("{\"muted\":%q}", name));
    return answer;
}

static volley_answer say(const volley_event *event) {
    volley_string rest, since;
    bool is_text = event->data.tag == VOLLEY_TEXT;
    if (is_text && volley_after(event->data.val.text, "/mute ", &rest)) return mute(event, rest);
    volley_answer answer = volley_nothing();
    if (!event->user.is_some) { /* a back-end */
        volley_forward(&answer, everyone(event));
        return answer;
    }
    if (volley_get(mutes, mute_of(event, event->user.val), &since)) return volley_refused(VOLLEY_STRING("you are muted"));
    volley_forward(&answer, volley_but(everyone(event), event->sender.val));
    return answer;
}

volley_answer volley_route(const volley_event *event) {
    switch (event->kind) {
    case VOLLEY_PUBLISH: return say(event);
    case VOLLEY_JOIN: return join(event);
    case VOLLEY_LEAVE:
    case VOLLEY_EXIT: return left(event);
    default: return volley_nothing();
    }
}
