/*
 * What stages may call, what their failures mean, and how their warnings look.
 *
 * A warning is for the person who asked for the run: something went less well
 * than it should have, and this is what it means for the result.  Stages know
 * the code and the sentence; who they are is added here, so that every warning
 * reads {stage, variant_index?, code, message}.
 */
#include "stage.h"

#include "internal.h"

bool
stops_job(enum err_code rc)
{
	switch (rc) {
	case ERR_CANCELLED:
	case ERR_LOST:
	case ERR_BUSY:
	case ERR_FULL:
	case ERR_SYSTEM:
	case ERR_TIMEOUT:
		return true;
	case ERR_OK:
	case ERR_INVALID:
	case ERR_BUDGET:
	case ERR_TYPE:
	case ERR_FORBIDDEN:
	case ERR_NOT_FOUND:
	case ERR_CONFLICT:
	case ERR_TOO_LARGE:
	case ERR_SLOW:
	case ERR_MODEL:
	case ERR_CONFIG:
	case ERR__COUNT:
		break;
	}
	return false;
}

bool
ends_stage(enum err_code rc)
{
	return rc == ERR_BUDGET || stops_job(rc);
}

/* The same thing is said once, however often a stage meets it. */
static bool
already_said(const struct json_object *list, const char *code,
    const char *message)
{
	const struct json_object *w;
	const char *c, *m;
	size_t i;

	for (i = 0; i < json_len(list); i++) {
		w = json_object_array_get_idx(list, i);
		c = json_get_str(w, "code");
		m = json_get_str(w, "message");
		if (c != NULL && m != NULL && strcmp(c, code) == 0 &&
		    strcmp(m, message) == 0)
			return true;
	}
	return false;
}

static void
warn_once(struct stage_env *env, const char *code, const char *message)
{
	struct json_object *w;

	if (env->warnings == NULL)
		env->warnings = json_object_new_array();
	if (json_len(env->warnings) >= MAX_STAGE_WARNINGS ||
	    already_said(env->warnings, code, message))
		return;
	w = json_object_new_object();
	if (env->variant != VARIANT_NONE)
		json_put_int(w, "variant_index", env->variant);
	json_put_str(w, "code", code);
	json_put_str(w, "message", message);
	json_object_array_add(env->warnings, w);
}

void
stage_warn(struct stage_env *env, const char *code, const char *fmt, ...)
{
	struct strbuf text = STRBUF_INIT(ERR_MSG_MAX);
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&text, fmt, ap);
	va_end(ap);
	warn_once(env, code, text.buf);
	strbuf_release(&text);
}

void
stage_note(void *env, const char *code, const char *message)
{
	warn_once(env, code, message);
}

void
stage_fail(struct stage_env *env, const char *error_type,
    const char *user_message, const char *suggestion, bool is_retryable)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "error_type", error_type);
	json_put_str(o, "user_message", user_message);
	json_put_str(o, "suggestion", suggestion);
	json_put_bool(o, "is_retryable", is_retryable);
	json_object_put(env->failure);
	env->failure = o;
}

enum err_code
stage_step(struct stage_env *env, const char *step, const char *message,
    struct err *e)
{
	if (env->tell_step == NULL)
		return ERR_OK;
	return env->tell_step(env, step, message, e);
}

struct json_object *
warning_new(const char *stage, int variant, const char *code,
    const char *message)
{
	struct json_object *w;

	w = json_object_new_object();
	json_put_str(w, "stage", stage);
	if (variant != VARIANT_NONE)
		json_put_int(w, "variant_index", variant);
	json_put_str(w, "code", code);
	json_put_str(w, "message", message);
	return w;
}

void
warnings_add(struct json_object *list, const char *stage,
    const struct json_object *from)
{
	const struct json_object *w;
	size_t i;

	for (i = 0; i < json_len(from); i++) {
		w = json_object_array_get_idx(from, i);
		json_object_array_add(list, warning_new(stage,
		    (int)json_get_int(w, "variant_index", VARIANT_NONE),
		    json_get_str(w, "code"), json_get_str(w, "message")));
	}
}

const char *
failure_code(const struct err *e)
{
	if (e->code == ERR_MODEL)
		return model_fault_name((enum model_fault)e->detail);
	return err_code_name(e->code);
}
