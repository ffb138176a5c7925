/*
 * Stage strategy: as many combinations of audience, niche, objective and voice
 * as there are variants, each a reason for a picture of its own.
 *
 *   niches    the user's if he named one, else the model's, else the pool's
 *   goals     the model's; short of the number: one call for the missing ones;
 *             still short: the pool fills up
 *
 * Niches and goals come with one answer, niches first.  A call for niches alone
 * would cost every run another wait before anything is drawn, and the answer to
 * it is only worth something in the light of the strategies that rest on it.
 *
 * The stage needs no model to succeed.  What the pool supplied is drawn by the
 * run's id, so the same run always gets the same; it is good enough to go on
 * with and said in a warning.
 *
 * A niche belongs to its combination: the model names the one it wrote for,
 * and only when that is none of those offered is it dealt by position.
 */
#include "common.h"

#include "xalloc.h"

#define MAX_NICHE_CHARS 120
#define MAX_GOAL_CHARS 400

static const char *const strategy_names[] = {
	PLACE_NAMES, BRIEF_NAMES, REFERENCE_NAMES, GOAL_NAMES, "count",
	"find_niches", "several", "niches", "have", NULL
};

const struct stage_prompt strategy_prompts[] = {
	{ "strategy", strategy_names },
	{ NULL, NULL }
};

/* --- niches ------------------------------------------------------------- */

void
niches_release(struct niches *n)
{
	int i;

	for (i = 0; i < n->n; i++)
		free(n->item[i]);
	n->n = 0;
}

static void
niches_add(struct niches *n, const char *text)
{
	char *niche = text_one_line(text, MAX_NICHE_CHARS);
	int i;

	for (i = 0; niche != NULL && i < n->n; i++)
		if (text_same(n->item[i], niche)) {
			free(niche);
			return;
		}
	if (niche != NULL && n->n < MAX_NICHES)
		n->item[n->n++] = niche;
	else
		free(niche);
}

void
niches_take(struct niches *n, const struct json_object *list)
{
	size_t i;

	for (i = 0; i < json_len(list); i++)
		niches_add(n, json_object_get_string(
		    json_object_array_get_idx(list, i)));
}

void
niches_from_pool(struct niches *n, const struct pool *pool, const char *run_id)
{
	int first = seeded_choice(run_id, "niche", pool->niche.n);
	int count = 1 + seeded_choice(run_id, "niches", MAX_NICHES), i;

	for (i = 0; i < count && i < pool->niche.n; i++)
		niches_add(n, pool->niche.item[(first + i) % pool->niche.n]);
}

/* Niche of combination i: the fixed one, the one it names, or by position. */
static const char *
niche_of(const struct niches *niches, const char *fixed, const char *named,
    size_t i)
{
	int k;

	if (fixed != NULL)
		return fixed;
	for (k = 0; named != NULL && k < niches->n; k++)
		if (text_same(niches->item[k], named))
			return niches->item[k];
	return niches->n > 0 ? niches->item[i % (size_t)niches->n] : NULL;
}

/* --- combinations ------------------------------------------------------- */

static bool
is_there_already(const struct json_object *have, const char *audience,
    const char *objective, const char *voice)
{
	const struct json_object *s;
	size_t i;

	for (i = 0; i < json_len(have); i++) {
		s = json_object_array_get_idx(have, i);
		if (text_same(json_get_str(s, "target_audience"), audience) &&
		    text_same(json_get_str(s, "target_objective"),
		    objective) &&
		    text_same(json_get_str(s, "target_voice"), voice))
			return true;
	}
	return false;
}

static void
append(struct json_object *have, const char *audience, const char *niche,
    const char *objective, const char *voice)
{
	struct json_object *s = json_object_new_object();

	json_put_str(s, "target_audience", audience);
	json_put_str(s, "target_niche", niche);
	json_put_str(s, "target_objective", objective);
	json_put_str(s, "target_voice", voice);
	json_object_array_add(have, s);
}

/* Append one item of an answer; false when it is incomplete or not new. */
static bool
take_one(struct json_object *have, const struct json_object *item,
    const struct niches *niches, const char *fixed)
{
	char *audience, *objective, *voice;
	const char *niche;
	bool fine;

	audience = text_one_line(json_get_str(item, "target_audience"),
	    MAX_GOAL_CHARS);
	objective = text_one_line(json_get_str(item, "target_objective"),
	    MAX_GOAL_CHARS);
	voice = text_one_line(json_get_str(item, "target_voice"),
	    MAX_GOAL_CHARS);
	niche = niche_of(niches, fixed, json_get_str(item, "target_niche"),
	    json_len(have));
	fine = audience != NULL && objective != NULL && voice != NULL &&
	    niche != NULL &&
	    !is_there_already(have, audience, objective, voice);
	if (fine)
		append(have, audience, niche, objective, voice);
	free(voice);
	free(objective);
	free(audience);
	return fine;
}

int
strategies_take(struct json_object *have, const struct json_object *list,
    int count, const struct niches *niches, const struct context *c)
{
	const char *fixed = context_goal(c, "niche");
	int dropped = 0;
	size_t i;

	for (i = 0; i < json_len(list) && (int)json_len(have) < count; i++)
		if (!take_one(have, json_object_array_get_idx(list, i), niches,
		    fixed))
			dropped++;
	return dropped;
}

/* --- out of the pool ---------------------------------------------------- */

/* The user's value, or entry number i of the words, counted from a start that
 * the run decides. */
static const char *
value_or_word(const char *value, const struct words *words, const char *what,
    const char *run_id, int i)
{
	if (value != NULL)
		return value;
	return words->item[(seeded_choice(run_id, what, words->n) + i) %
	    words->n];
}

/*
 * What the user wants, pursued by way of another objective: an honest variation
 * for when all four goals are fixed.
 */
static char *
vary_objective(const char *objective, const struct pool *pool,
    const char *run_id, int i)
{
	const char *way = value_or_word(NULL, &pool->objective, "objective",
	    run_id, i - 1);
	size_t n = strlen(objective);

	while (n > 0 && strchr(".;, ", objective[n - 1]) != NULL)
		n--;
	return xasprintf("%.*s; on the way there, %c%s", (int)n, objective,
	    tolower((unsigned char)way[0]), way + 1);
}

static void
fill_one(struct json_object *have, int attempt, const struct niches *niches,
    const struct pool *pool, const struct context *c, const char *run_id,
    bool even_if_known)
{
	const char *audience, *voice, *niche, *goal;
	char *objective;

	audience = value_or_word(context_goal(c, "target_audience"),
	    &pool->audience, "audience", run_id, attempt);
	voice = value_or_word(context_goal(c, "voice"), &pool->voice, "voice",
	    run_id, attempt);
	goal = context_goal(c, "objective");
	if (goal != NULL && goals_are_complete(c) && attempt > 0)
		objective = vary_objective(goal, pool, run_id, attempt);
	else
		objective = xstrdup(value_or_word(goal, &pool->objective,
		    "objective", run_id, attempt));
	niche = niche_of(niches, context_goal(c, "niche"), NULL,
	    json_len(have));
	if (even_if_known ||
	    !is_there_already(have, audience, objective, voice))
		append(have, audience, niche, objective, voice);
	free(objective);
}

void
strategies_fill(struct json_object *have, int count,
    const struct niches *niches, const struct pool *pool,
    const struct context *c, const char *run_id)
{
	/* Enough to pass once over every list and everything given. */
	int attempts = pool->audience.n + pool->objective.n + pool->voice.n +
	    (int)json_len(have) + count;
	int i;

	for (i = 0; i < attempts && (int)json_len(have) < count; i++)
		fill_one(have, i, niches, pool, c, run_id, false);
	/* A tiny pool may not have that many; the number still counts. */
	for (; (int)json_len(have) < count; i++)
		fill_one(have, i, niches, pool, c, run_id, true);
}

/* --- the prompt --------------------------------------------------------- */

/* "NICHE: ...", a line each. */
static void
set_niches(struct vars *v, const struct niches *niches)
{
	struct strbuf text = STRBUF_INIT(MAX_PROMPT_TEXT);
	int i;

	for (i = 0; i < niches->n; i++)
		strbuf_addf(&text, "NICHE: %s\n", niches->item[i]);
	vars_set(v, "niches", text.buf);
	vars_flag(v, "find_niches", niches->n == 0);
	vars_flag(v, "several", niches->n > 1);
	strbuf_release(&text);
}

/* Strategies that are there already, a line each. */
static void
set_have(struct vars *v, const struct json_object *have)
{
	struct strbuf text = STRBUF_INIT(MAX_PROMPT_TEXT);
	const struct json_object *s;
	size_t i;

	for (i = 0; i < json_len(have); i++) {
		s = json_object_array_get_idx(have, i);
		strbuf_addf(&text, "%s | %s | %s | %s\n",
		    json_get_str(s, "target_audience"),
		    json_get_str(s, "target_niche"),
		    json_get_str(s, "target_objective"),
		    json_get_str(s, "target_voice"));
	}
	vars_set(v, "have", text.buf);
	strbuf_release(&text);
}

void
strategy_vars(struct vars *v, const struct conf *conf,
    const struct context *c, const struct niches *niches, int count,
    const struct json_object *have)
{
	vars_place(v, conf, c, ABSENT);
	vars_brief(v, c);
	vars_reference(v, c);
	vars_goals(v, c);
	vars_setf(v, "count", "%d", count);
	set_niches(v, niches);
	set_have(v, have);
}

/* --- asking ------------------------------------------------------------- */

/* A list that is longer than the schema takes is no reason to ask again. */
static void
shorten(struct json_object *list, size_t max)
{
	size_t n = json_len(list);

	if (n > max)
		json_object_array_del_idx(list, max, n - max);
}

/* Strategies that name their niches have found them, too. */
static void
add_niches(struct json_object *answer, const struct json_object *strategies)
{
	struct json_object *found = json_object_new_array();
	const char *niche;
	size_t i;

	for (i = 0; i < json_len(strategies); i++) {
		niche = json_get_str(json_object_array_get_idx(strategies, i),
		    "target_niche");
		if (!text_is_void(niche))
			json_object_array_add(found,
			    json_object_new_string(niche));
	}
	shorten(found, MAX_NICHES);
	if (json_len(found) > 0)
		json_put_obj(answer, "relevant_niches", found);
	else
		json_object_put(found);
}

/* An answer_hook; arg is a bool: were niches asked for? */
static struct json_object *
repair(struct json_object *candidate, void *arg)
{
	const bool *find_niches = arg;
	struct json_object *strategies;

	candidate = hook_strategies(candidate, NULL);
	strategies = json_get_arr(candidate, "strategies");
	shorten(strategies, MAX_VARIANTS);
	shorten(json_get_arr(candidate, "relevant_niches"), MAX_NICHES);
	if (*find_niches && strategies != NULL &&
	    json_get(candidate, "relevant_niches") == NULL)
		add_niches(candidate, strategies);
	return candidate;
}

/*
 * Ask for as many as are missing from count; adds to have.  Without niches
 * they are asked for as well, and added to niches.
 */
static enum err_code
ask(struct stage_env *env, const struct context *c, struct niches *niches,
    int count, struct json_object *have, struct err *e)
{
	bool find_niches = niches->n == 0;
	int missing = count - (int)json_len(have);
	struct vars v = { .n = 0 };
	struct chat_call call;
	struct call_result r;
	enum err_code rc;

	chat_call_init(&call, env, PURPOSE_STRATEGY_GOALS, "strategy",
	    find_niches ? "niches_and_strategies" : "marketing_strategies");
	call.req.hook = repair;
	call.req.hook_arg = &find_niches;
	if (missing < count)
		call.req.suffix = "more";
	strategy_vars(&v, env->conf, c, niches, missing, have);
	memset(&r, 0, sizeof(r));
	rc = chat_call_render(&call, env, "strategy", &v, e);
	if (rc == ERR_OK)
		rc = model_chat(env->model, env->scope, &call.req, &r, e);
	result_note(env, &r);
	if (rc == ERR_OK) {
		if (find_niches)
			niches_take(niches, json_get_arr(r.value,
			    "relevant_niches"));
		strategies_take(have, json_get_arr(r.value, "strategies"),
		    count, niches, c);
	}
	call_result_release(&r);
	vars_release(&v);
	chat_call_release(&call);
	return rc;
}

/* What no model has given; *filled says how many strategies. */
static void
fill(struct stage_env *env, const struct context *c, struct niches *niches,
    int count, struct json_object *have, const struct err *why, int *filled)
{
	const struct pool *pool = conf_pool(env->conf,
	    context_str(c, "task_type"));
	const char *reason = why->code == ERR_OK ? "." : why->msg;
	const char *colon = why->code == ERR_OK ? "" : ": ";

	if (niches->n == 0) {
		niches_from_pool(niches, pool, env->run_id);
		stage_warn(env, "niches_from_pool", "Niches were taken from "
		    "the standard list, because no model could name "
		    "them%s%s", colon, reason);
	}
	*filled = count - (int)json_len(have);
	if (*filled == 0)
		return;
	strategies_fill(have, count, niches, pool, c, env->run_id);
	stage_warn(env, "strategies_simulated", "%d of %d strategies were put "
	    "together from the standard lists, because the model gave too "
	    "few%s%s", *filled, count, colon, reason);
}

enum err_code
stage_strategy(struct stage_env *env, const struct context *c,
    struct json_object **out, struct err *e)
{
	struct json_object *have = json_object_new_array(), *result;
	struct niches niches = { .n = 0 };
	int count = strategy_count(c), filled = 0;
	struct err why = ERR_INIT;
	enum err_code rc;

	niches_add(&niches, context_goal(c, "niche"));
	rc = ask(env, c, &niches, count, have, &why);
	if (rc == ERR_OK && (int)json_len(have) < count)
		rc = ask(env, c, &niches, count, have, &why);
	if (ends_stage(rc)) {
		err_set(e, rc, "%s", why.msg);
		goto out;
	}
	fill(env, c, &niches, count, have, &why, &filled);
	rc = ERR_OK;
	result = json_object_new_object();
	json_put_obj(result, "marketing_strategies", have);
	json_put_bool(result, "degraded", filled > 0);
	json_put_bool(result, "simulated", filled > 0);
	have = NULL;
	*out = result;
out:
	json_object_put(have);
	niches_release(&niches);
	return rc;
}
