/* The SDK's functions over the generated bindings, and the little of a C library that they need. */
#include "volley.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- Memory: an arena that is emptied after each event ---- */

#define ALIGN 16
#define PAGE 65536

/* Before each block, for realloc. */
typedef union {
    size_t size;
    uint8_t aligned[ALIGN];
} header;

extern uint8_t __heap_base; /* the linker's */
static uintptr_t top, kept;

void *malloc(size_t size) {
    if (!top) top = kept = ((uintptr_t)&__heap_base + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1);
    size_t need = size + sizeof(header) + ALIGN - 1;
    uintptr_t end = (uintptr_t)__builtin_wasm_memory_size(0) * PAGE;
    if (need < size) abort();
    need &= ~(size_t)(ALIGN - 1);
    if (need > end - top) {
        size_t pages = (need - (end - top) - 1) / PAGE + 1;
        if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) abort();
    }
    header *block = (header *)top;
    top += need;
    block->size = size;
    return block + 1;
}

void *realloc(void *block, size_t size) {
    void *fresh = malloc(size);
    if (!block) return fresh;
    size_t before = ((header *)block - 1)->size;
    return memcpy(fresh, block, before < size ? before : size);
}

void free(void *block) { (void)block; }

_Noreturn void abort(void) { __builtin_trap(); }

void *volley_alloc(size_t size) { return malloc(size); }

/* The host is done with what an export has returned. These take the place of the generated ones. */
#define DONE_WITH(function) __attribute__((__export_name__("cabi_post_volley:router/handler@0.1.0#" function)))

DONE_WITH("info") void __wasm_export_exports_volley_router_handler_info_post_return(uint8_t *returned) {
    (void)returned;
    top = kept;
}

DONE_WITH("init") void __wasm_export_exports_volley_router_handler_init_post_return(uint8_t *returned) {
    (void)returned;
    kept = top;
}

DONE_WITH("route") void __wasm_export_exports_volley_router_handler_route_post_return(uint8_t *returned) {
    (void)returned;
    top = kept;
}

/* The generated code asks for an object file that says what the world is; the linker has that from the contract itself. */
void __component_type_object_force_link_plugin(void) {}

/* ---- Of a C library. The first two are one instruction each (memory.copy, memory.fill). ---- */

void *memmove(void *to, const void *from, size_t size) { return __builtin_memmove(to, from, size); }

void *memset(void *block, int byte, size_t size) { return __builtin_memset(block, byte, size); }

void *memcpy(void *restrict to, const void *restrict from, size_t size) { return __builtin_memcpy(to, from, size); }

int memcmp(const void *a, const void *b, size_t size) {
    const uint8_t *x = a, *y = b;
    for (; size; size--, x++, y++) {
        if (*x != *y) return *x < *y ? -1 : 1;
    }
    return 0;
}

size_t strlen(const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    return length;
}

/* ---- Words ---- */

volley_string volley_of(const char *text) { return (volley_string){(uint8_t *)text, strlen(text)}; }

bool volley_equal(volley_string a, volley_string b) { return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0; }

bool volley_after(volley_string text, const char *prefix, volley_string *rest) {
    size_t length = strlen(prefix);
    if (text.len < length || memcmp(text.ptr, prefix, length) != 0) return false;
    *rest = (volley_string){text.ptr + length, text.len - length};
    return true;
}

/* Puts bytes where there is room for them: `to` is null while they are only counted. */
static size_t put(uint8_t *to, const void *bytes, size_t size) {
    if (to) memcpy(to, bytes, size);
    return size;
}

static size_t put_quoted(uint8_t *to, volley_string text) {
    static const char hex[] = "0123456789abcdef";
    size_t length = 0;
#define PUT(bytes, size) length += put(to ? to + length : NULL, (bytes), (size))
    PUT("\"", 1);
    for (size_t at = 0; at < text.len; at++) {
        uint8_t byte = text.ptr[at];
        if (byte == '"' || byte == '\\') {
            PUT("\\", 1);
            PUT(&byte, 1);
        } else if (byte < 0x20) {
            char escaped[] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
            PUT(escaped, sizeof escaped);
        } else {
            PUT(&byte, 1);
        }
    }
    PUT("\"", 1);
    return length;
}

static size_t put_number(uint8_t *to, uint64_t number) {
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    return put(to, digits + at, sizeof digits - at);
}

static size_t format(uint8_t *to, const char *text, va_list values) {
    size_t length = 0;
    for (; *text; text++) {
        uint8_t *here = to ? to + length : NULL;
        if (*text != '%') {
            length += put(here, text, 1);
            continue;
        }
        volley_string string;
        switch (*++text) {
        case 's':
            string = va_arg(values, volley_string);
            length += put(here, string.ptr, string.len);
            break;
        case 'q': length += put_quoted(here, va_arg(values, volley_string)); break;
        case 'u': length += put_number(here, va_arg(values, uint64_t)); break;
        case '%': length += put(here, "%", 1); break;
        default: volley_trap(VOLLEY_STRING("volley_format knows %s, %q, %u and %%"));
        }
    }
    return length;
}

volley_string volley_format(const char *text, ...) {
    va_list values, again;
    va_start(values, text);
    va_copy(again, values);
    volley_string formatted = {NULL, format(NULL, text, values)};
    formatted.ptr = malloc(formatted.len);
    format(formatted.ptr, text, again);
    va_end(again);
    va_end(values);
    return formatted;
}

void volley_log(uint8_t level, volley_string message) { volley_router_logger_log(level, &message); }

_Noreturn void volley_trap(volley_string why) {
    volley_log(VOLLEY_ERROR, why);
    abort();
}

/* ---- What a rule defines ---- */

void exports_volley_router_handler_info(exports_volley_router_handler_plugin_info_t *info) {
    info->name = volley_of(volley_rule.name);
    info->version = volley_of(volley_rule.version);
    info->description = volley_of(volley_rule.description);
}

bool exports_volley_router_handler_init(plugin_string_t *config, plugin_string_t *why) {
    return volley_init(*config, why);
}

bool exports_volley_router_handler_route(volley_event *event, volley_router_types_outcome_t *outcome,
                                         volley_router_types_refusal_t *refusal) {
    volley_answer answer = volley_route(event);
    if (answer.is_refusal) *refusal = answer.refusal;
    else *outcome = answer.outcome;
    return !answer.is_refusal;
}

/* ---- Answers ---- */

volley_answer volley_nothing(void) { return (volley_answer){0}; }

static volley_answer refusal(uint8_t tag, volley_string words) {
    return (volley_answer){.is_refusal = true, .refusal = {.tag = tag, .val.refused = words}};
}

volley_answer volley_refused(volley_string words) { return refusal(VOLLEY_ROUTER_TYPES_REFUSAL_REFUSED, words); }

volley_answer volley_invalid(volley_string words) { return refusal(VOLLEY_ROUTER_TYPES_REFUSAL_INVALID, words); }

static void deliver(volley_answer *answer, volley_recipients to, volley_router_types_message_t message) {
    volley_router_types_list_delivery_t *all = &answer->outcome.deliveries;
    all->ptr = realloc(all->ptr, (all->len + 1) * sizeof *all->ptr);
    all->ptr[all->len++] = (volley_router_types_delivery_t){to, message};
}

void volley_forward(volley_answer *answer, volley_recipients to) {
    deliver(answer, to, (volley_router_types_message_t){.tag = VOLLEY_ROUTER_TYPES_MESSAGE_FORWARD});
}

void volley_send(volley_answer *answer, volley_recipients to, volley_string json) {
    volley_router_types_message_t message = {.tag = VOLLEY_ROUTER_TYPES_MESSAGE_DATA};
    message.val.data = (volley_router_types_payload_t){.tag = VOLLEY_JSON, .val.json = {json.ptr, json.len}};
    deliver(answer, to, message);
}

static volley_router_types_list_pid_t one(volley_pid pid) {
    volley_router_types_list_pid_t list = {malloc(sizeof pid), 1};
    *list.ptr = pid;
    return list;
}

void volley_remove(volley_answer *answer, volley_pid pid) {
    volley_router_types_list_pid_t *all = &answer->outcome.remove;
    all->ptr = realloc(all->ptr, (all->len + 1) * sizeof *all->ptr);
    all->ptr[all->len++] = pid;
}

volley_recipients volley_subscribers(void) {
    return (volley_recipients){.tag = VOLLEY_ROUTER_TYPES_RECIPIENTS_SUBSCRIBERS};
}

volley_recipients volley_only(volley_pid pid) {
    return (volley_recipients){.tag = VOLLEY_ROUTER_TYPES_RECIPIENTS_PIDS, .val.pids = one(pid)};
}

/* An expression of one operand, with room for volley_but. */
static volley_recipients operand(volley_router_types_set_op_t op) {
    volley_router_types_list_set_op_t ops = {malloc(sizeof op), 1};
    *ops.ptr = op;
    return (volley_recipients){.tag = VOLLEY_ROUTER_TYPES_RECIPIENTS_EXPR, .val.expr = ops};
}

volley_recipients volley_members(const char *scope, volley_string group) {
    volley_router_types_set_op_t op = {.tag = VOLLEY_ROUTER_TYPES_SET_OP_MEMBERS};
    op.val.members.f0 = volley_of(scope);
    op.val.members.f1 = (volley_router_types_term_t){group.ptr, group.len};
    return operand(op);
}

volley_recipients volley_but(volley_recipients all, volley_pid pid) {
    volley_router_types_set_op_t op;
    switch (all.tag) {
    case VOLLEY_ROUTER_TYPES_RECIPIENTS_SUBSCRIBERS: /* no topic: the event's own */
        op = (volley_router_types_set_op_t){.tag = VOLLEY_ROUTER_TYPES_SET_OP_SUBSCRIBERS};
        all = operand(op);
        break;
    case VOLLEY_ROUTER_TYPES_RECIPIENTS_PIDS:
        op = (volley_router_types_set_op_t){.tag = VOLLEY_ROUTER_TYPES_SET_OP_PIDS, .val.pids = all.val.pids};
        all = operand(op);
        break;
    }
    volley_router_types_list_set_op_t *ops = &all.val.expr;
    ops->ptr = realloc(ops->ptr, (ops->len + 2) * sizeof op);
    ops->ptr[ops->len++] = (volley_router_types_set_op_t){.tag = VOLLEY_ROUTER_TYPES_SET_OP_PIDS, .val.pids = one(pid)};
    ops->ptr[ops->len++] = (volley_router_types_set_op_t){.tag = VOLLEY_ROUTER_TYPES_SET_OP_SUBTRACT};
    return all;
}

/* ---- What a rule keeps ---- */

static volley_router_types_term_t term(volley_string bytes) {
    return (volley_router_types_term_t){bytes.ptr, bytes.len};
}

/* Traps if the host did not do it. */
static void check(bool done, const volley_router_types_error_t *error) {
    if (done) return;
    switch (error->tag) {
    case VOLLEY_ROUTER_TYPES_ERROR_BADARG: volley_trap(volley_format("badarg: %s", error->val.badarg));
    case VOLLEY_ROUTER_TYPES_ERROR_NOT_OWNER: volley_trap(VOLLEY_STRING("the table belongs to another plugin"));
    case VOLLEY_ROUTER_TYPES_ERROR_SYSTEM_LIMIT: volley_trap(volley_format("system-limit: %s", error->val.system_limit));
    default: volley_trap(VOLLEY_STRING("the table can't be reached"));
    }
}

volley_table volley_table_open(const char *name, uint64_t ttl_ms) {
    volley_router_ets_options_t options = {
        .kind = VOLLEY_ROUTER_ETS_KIND_SET,
        .ttl_ms = {ttl_ms != 0, ttl_ms},
        .max_objects = UINT64_MAX,
        .max_bytes = UINT64_MAX,
    };
    volley_string text = volley_of(name);
    volley_router_ets_own_table_t table;
    volley_router_types_error_t error;
    check(volley_router_ets_static_table_open(&text, &options, &table, &error), &error);
    return volley_router_ets_borrow_table(table);
}

bool volley_get(volley_table table, volley_string key, volley_string *value) {
    volley_router_types_term_t sought = term(key);
    volley_router_ets_list_term_t keys = {&sought, 1};
    volley_router_ets_list_list_term_t found;
    volley_router_types_error_t error;
    check(volley_router_ets_method_table_lookup(table, &keys, &found, &error), &error);
    if (found.ptr[0].len == 0) return false;
    *value = (volley_string){found.ptr[0].ptr[0].ptr, found.ptr[0].ptr[0].len};
    return true;
}

void volley_put(volley_table table, volley_string key, volley_string value) {
    volley_router_ets_object_t object = {term(key), term(value)};
    volley_router_ets_list_object_t objects = {&object, 1};
    volley_router_types_error_t error;
    check(volley_router_ets_method_table_insert(table, &objects, &error), &error);
}

bool volley_put_new(volley_table table, volley_string key, volley_string value) {
    volley_router_ets_object_t object = {term(key), term(value)};
    volley_router_ets_list_object_t objects = {&object, 1};
    volley_router_types_error_t error;
    bool did;
    check(volley_router_ets_method_table_insert_new(table, &objects, &did, &error), &error);
    return did;
}

bool volley_delete(volley_table table, volley_string key) {
    volley_router_types_term_t gone = term(key);
    volley_router_ets_list_term_t keys = {&gone, 1};
    volley_router_types_error_t error;
    uint64_t count;
    check(volley_router_ets_method_table_delete(table, &keys, &count, &error), &error);
    return count != 0;
}

int64_t volley_add(volley_table table, volley_string key, int64_t increment) {
    volley_router_ets_counter_op_t op = {.key = term(key), .incr = increment};
    volley_router_ets_list_counter_op_t ops = {&op, 1};
    volley_router_types_error_t error;
    plugin_list_s64_t values;
    check(volley_router_ets_method_table_update_counter(table, &ops, &values, &error), &error);
    return values.ptr[0];
}

volley_scope volley_scope_open(const char *name) {
    volley_string text = volley_of(name);
    volley_router_pg_own_scope_t scope;
    volley_router_types_error_t error;
    check(volley_router_pg_static_scope_open(&text, VOLLEY_ROUTER_TYPES_REACH_NODE, &scope, &error), &error);
    return volley_router_pg_borrow_scope(scope);
}

void volley_join(volley_scope scope, volley_string group, volley_pid pid) {
    volley_router_types_term_t name = term(group);
    volley_router_pg_list_pid_t pids = {&pid, 1};
    volley_router_types_error_t error;
    uint64_t joined;
    check(volley_router_pg_method_scope_join(scope, &name, &pids, &joined, &error), &error);
}

void volley_leave(volley_scope scope, volley_string group, volley_pid pid) {
    volley_router_types_term_t name = term(group);
    volley_router_pg_list_pid_t pids = {&pid, 1};
    volley_router_pg_method_scope_leave(scope, &name, &pids);
}

uint64_t volley_size(volley_scope scope, volley_string group) {
    volley_router_types_term_t name = term(group);
    volley_router_pg_list_term_t groups = {&name, 1};
    plugin_list_u64_t counts;
    volley_router_pg_method_scope_count(scope, &groups, &counts);
    return counts.ptr[0];
}
