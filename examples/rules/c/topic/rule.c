/* The plain topic: what is published is delivered, unchanged, to all subscribers of the topic, the sender included. */
#include "volley.h"

const volley_info volley_rule = {"topic", "0.1.0", "to all subscribers, unchanged"};

bool volley_init(volley_string config, volley_string *why) {
    (void)config, (void)why;
    return true;
}

volley_answer volley_route(const volley_event *event) {
    volley_answer answer = volley_nothing();
    if (event->kind == VOLLEY_PUBLISH) volley_forward(&answer, volley_subscribers());
    return answer;
}
