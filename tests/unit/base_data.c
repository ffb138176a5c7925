/* YAML and the environment. */
#include "tests/unit/base.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "env.h"
#include "file.h"
#include "json.h"
#include "xalloc.h"
#include "yaml.h"

/* --- yaml ---------------------------------------------------------------- */

static struct yaml_doc *
yaml_of(const char *text)
{
	struct yaml_doc *doc = NULL;
	struct err e = ERR_INIT;

	ck_ok(yaml_parse("y", text, strlen(text), &doc, &e), &e);
	return doc;
}

START_TEST(a_yaml_file_becomes_a_tree_with_lines)
{
	const struct yaml_node *list, *n;
	struct yaml_doc *doc;

	doc = yaml_of("# top\na: 1\nb:\n  - x\n  - 'y z'\n  - k: v\n"
	    "c: {d: [1, 2]}\ne: |\n  two\n  lines\n");
	ck_assert_str_eq(doc->path, "y");
	ck_assert_int_eq(doc->root->kind, YAML_MAP);
	ck_assert_ptr_null(doc->root->key);
	ck_assert_uint_eq(yaml_count(doc->root), 4);
	n = yaml_get(doc->root, "a");
	ck_assert_int_eq(n->line, 2);
	ck_assert_str_eq(n->key, "a");
	ck_assert_str_eq(n->text, "1");
	ck_assert(n->plain);
	list = yaml_get(doc->root, "b");
	ck_assert_int_eq(list->kind, YAML_LIST);
	ck_assert_int_eq(list->line, 3);
	ck_assert_uint_eq(yaml_count(list), 3);
	n = list->first->next;
	ck_assert_str_eq(n->text, "y z");
	ck_assert(!n->plain);
	ck_assert_ptr_null(n->key);
	ck_assert_int_eq(n->line, 5);
	ck_assert_str_eq(yaml_get(n->next, "k")->text, "v");
	ck_assert_int_eq(n->next->line, 6);
	n = yaml_get(yaml_get(doc->root, "c"), "d");
	ck_assert_uint_eq(yaml_count(n), 2);
	ck_assert_str_eq(yaml_get(doc->root, "e")->text, "two\nlines\n");
	ck_assert_ptr_null(yaml_get(doc->root, "z"));
	ck_assert_ptr_null(yaml_get(list, "k"));
	ck_assert_ptr_null(yaml_get(NULL, "k"));
	ck_assert_uint_eq(yaml_count(NULL), 0);
	yaml_free(doc);
	yaml_free(NULL);
}
END_TEST

static const char *const empty_yaml[] = { "", "\n\n", "# only\n", "---\n",
	"---\n# x\n...\n", "{}" };

START_TEST(an_empty_yaml_file_is_an_empty_map)
{
	struct yaml_doc *doc = yaml_of(empty_yaml[_i]);

	ck_assert_int_eq(doc->root->kind, YAML_MAP);
	ck_assert_uint_eq(yaml_count(doc->root), 0);
	yaml_free(doc);
}
END_TEST

static const struct {
	const char *text, *want;	/* want: start of the message */
} bad_yaml[] = {
	{ "a: 1\nb: 2\na: 3\n", "y:3: \"a\" is there twice" },
	{ "a:\n  x: 1\n  x: 2\n", "y:3: \"x\" is there twice" },
	{ "a: &x 1\n", "y:1: anchors are not supported" },
	{ "a: &x [1]\n", "y:1: anchors" }, { "a: &x {b: 1}\n", "y:1: anch" },
	{ "\n&k a: 1\n", "y:2: anchors" },
	{ "a: *x\n", "y:1: aliases are not supported" },
	{ "*x : 1\n", "y:1: aliases" },
	{ "a: !!str 1\n", "y:1: tags are not supported" },
	{ "a: !!map {}\n", "y:1: tags" }, { "a: !!seq []\n", "y:1: tags" },
	{ "a: ! 1\n", "y:1: tags" },
	{ "a: 1\n---\nb: 2\n", "y:2: only one document" },
	{ "[a, b]: 1\n", "y:1: a key must be a plain word" },
	{ "? {a: 1}\n: 2\n", "y:1: a key must be" },
	{ "a: [1\n", "y:2: " }, { "a: 'x\n", "y:2: " },
	{ "a: 1\n  b: 2\n", "y:2: " }, { "a: 1\n\tb: 2\n", "y:2: " },
	{ "a: \"x\\0y\"\n", "y:1: a value holds a NUL" },
	{ "a: 1\nb: \xff\n", "y:2: " }, { "a: \"\\q\"\n", "y:1: " },
	{ "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", "y:1: nested too deep" },
};

START_TEST(faulty_yaml_names_its_line)
{
	struct yaml_doc *doc = NULL;
	struct err e = ERR_INIT;
	const char *text = bad_yaml[_i].text;

	ck_assert_msg(yaml_parse("y", text, strlen(text), &doc, &e) ==
	    ERR_CONFIG, "%s", text);
	ck_assert_ptr_null(doc);
	ck_assert_msg(strncmp(e.msg, bad_yaml[_i].want,
	    strlen(bad_yaml[_i].want)) == 0, "%s", e.msg);
}
END_TEST

START_TEST(yaml_may_nest_to_its_depth)
{
	char *text = base_repeat(YAML_DEPTH_MAX - 1, "[", "1", "]");

	yaml_free(yaml_of(text));
	free(text);
}
END_TEST

START_TEST(yaml_is_loaded_from_its_file)
{
	struct yaml_doc *doc = NULL;
	struct err e = ERR_INIT;
	char *text;

	ck_ok(yaml_load(base_write("a.yml", "a: 1\n"), &doc, &e), &e);
	ck_assert_str_eq(doc->path, base_path("a.yml"));
	yaml_free(doc);
	doc = NULL;
	ck_fails(yaml_load(base_write("b.yml", "a: 1\na: 1\n"), &doc, &e),
	    ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(e.msg, "b.yml:2: "));
	ck_fails(yaml_load(base_path("none.yml"), &doc, &e), ERR_NOT_FOUND);
	text = base_repeat(YAML_MAX_BYTES, "#", "", "");
	yaml_free(yaml_of(text));
	ck_ok(yaml_load(base_write("c.yml", text), &doc, &e), &e);
	yaml_free(doc);
	doc = NULL;
	free(text);
	text = base_repeat(YAML_MAX_BYTES + 1, "#", "", "");
	ck_fails(yaml_load(base_write("c.yml", text), &doc, &e), ERR_CONFIG);
	ck_fails(yaml_parse("y", text, strlen(text), &doc, &e), ERR_CONFIG);
	ck_assert_ptr_null(doc);
	free(text);
}
END_TEST

static const struct {
	const char *text, *want;	/* want: as JSON */
} as_json[] = {
	{ "", "{}" },
	{ "a: {b: [1, x], c: }", "{\"a\":{\"b\":[1,\"x\"],\"c\":null}}" },
	{ "[null, Null, ~, \"\", 'null']", "[null,null,null,\"\",\"null\"]" },
	{ "[true, false, 'true', no, yes, on, True]",
	  "[true,false,\"true\",\"no\",\"yes\",\"on\",\"True\"]" },
	{ "[0, -1, 12, 0.10, 1e3, -2.5E-3]", "[0,-1,12,0.10,1e3,-2.5E-3]" },
	{ "[007, +1, 1., .5, 0x10, 1_000, '12', 1e]",
	  "[\"007\",\"+1\",\"1.\",\".5\",\"0x10\",\"1_000\",\"12\",\"1e\"]" },
	{ "[9223372036854775807, -]", "[9223372036854775807,\"-\"]" },
	{ "[1:1, 2026-11-23, a/b]", "[\"1:1\",\"2026-11-23\",\"a/b\"]" },
	{ "a: |\n  x\n  y\nb: >-\n  x\n  y\n",
	  "{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}" },
};

START_TEST(yaml_becomes_json_without_surprises)
{
	struct yaml_doc *doc = yaml_of(as_json[_i].text);
	struct json_object *o = yaml_to_json(doc->root);
	char *text = json_to_text(o);

	ck_assert_str_eq(text, as_json[_i].want);
	free(text);
	json_object_put(o);
	yaml_free(doc);
	ck_assert_ptr_null(yaml_to_json(NULL));
}
END_TEST

START_TEST(a_yaml_list_has_a_longest_length)
{
	char *text = base_repeat(10001, "- 1\n", "", "");
	struct yaml_doc *doc = NULL;
	struct err e = ERR_INIT;

	ck_fails(yaml_parse("y", text, strlen(text), &doc, &e), ERR_CONFIG);
	ck_assert_str_eq(e.msg, "y:10001: the list is too long");
	free(text);
	text = base_repeat(10000, "- 1\n", "", "");
	doc = yaml_of(text);
	ck_assert_uint_eq(yaml_count(doc->root), 10000);
	yaml_free(doc);
	free(text);
}
END_TEST

START_TEST(a_yaml_map_has_a_longest_length)
{
	struct strbuf text = STRBUF_INIT(YAML_MAX_BYTES);
	struct yaml_doc *doc = NULL;
	struct err e = ERR_INIT;
	int i;

	for (i = 1; i <= 10000; i++)
		strbuf_addf(&text, "k%d: 1\n", i);
	doc = yaml_of(text.buf);
	ck_assert_uint_eq(yaml_count(doc->root), 10000);
	yaml_free(doc);
	doc = NULL;
	strbuf_addstr(&text, "more: 1\n");
	ck_fails(yaml_parse("y", text.buf, text.len, &doc, &e), ERR_CONFIG);
	ck_assert_str_eq(e.msg, "y:10001: the map is too long");
	strbuf_release(&text);
}
END_TEST

START_TEST(plain_scalars_mean_something_and_quoted_ones_are_text)
{
	const struct yaml_node *r;
	struct yaml_doc *doc;
	bool b = false;
	double d = 0;
	int64_t i = 0;

	doc = yaml_of("i: 12\nqi: '12'\nd: 1.5\nb: On\nqb: \"on\"\ny: y\n"
	    "one: 1\nn1:\nn2: ~\nn3: Null\nqn: ''\nl: []\n");
	r = doc->root;
	ck_assert(yaml_to_int(yaml_get(r, "i"), &i));
	ck_assert_int_eq(i, 12);
	ck_assert(!yaml_to_int(yaml_get(r, "qi"), &i));
	ck_assert(!yaml_to_int(yaml_get(r, "d"), &i));
	ck_assert(!yaml_to_int(yaml_get(r, "l"), &i));
	ck_assert(!yaml_to_int(NULL, &i));
	ck_assert(yaml_to_num(yaml_get(r, "d"), &d));
	ck_assert_double_eq(d, 1.5);
	ck_assert(yaml_to_num(yaml_get(r, "i"), &d));
	ck_assert(!yaml_to_num(yaml_get(r, "b"), &d));
	ck_assert(yaml_to_bool(yaml_get(r, "b"), &b));
	ck_assert(b);
	ck_assert(yaml_to_bool(yaml_get(r, "one"), &b));
	ck_assert(!yaml_to_bool(yaml_get(r, "qb"), &b));
	ck_assert(!yaml_to_bool(yaml_get(r, "y"), &b));
	ck_assert(!yaml_to_bool(yaml_get(r, "n1"), &b));
	ck_assert(yaml_is_null(yaml_get(r, "n1")));
	ck_assert(yaml_is_null(yaml_get(r, "n2")));
	ck_assert(yaml_is_null(yaml_get(r, "n3")));
	ck_assert(!yaml_is_null(yaml_get(r, "qn")));
	ck_assert(!yaml_is_null(yaml_get(r, "l")));
	ck_assert(yaml_is_null(NULL));
	yaml_free(doc);
}
END_TEST

static const struct {
	const char *text;
	bool ok;
	int64_t value;
} int_rows[] = {
	{ "0", true, 0 }, { "12", true, 12 }, { "-12", true, -12 },
	{ "+7", true, 7 }, { "007", true, 7 },
	{ "9223372036854775807", true, INT64_MAX },
	{ "-9223372036854775808", true, INT64_MIN },
	{ "9223372036854775808", false, 0 }, { "", false, 0 },
	{ "-", false, 0 }, { " 1", false, 0 }, { "1 ", false, 0 },
	{ "1x", false, 0 }, { "0x10", false, 0 }, { "1.0", false, 0 },
	{ "+-1", false, 0 }, { "1_000", false, 0 }, { NULL, false, 0 },
};

START_TEST(integers_are_decimal_and_whole)
{
	int64_t v = 42;

	ck_assert_int_eq(parse_int(int_rows[_i].text, &v), int_rows[_i].ok);
	ck_assert_int_eq(v, int_rows[_i].ok ? int_rows[_i].value : 42);
}
END_TEST

static const struct {
	const char *text;
	bool ok;
	double value;
} num_rows[] = {
	{ "0", true, 0 }, { "1.5", true, 1.5 }, { "-.5", true, -.5 },
	{ "1e3", true, 1000 }, { "2.5E-1", true, .25 }, { "1.", true, 1 },
	{ "+3", true, 3 }, { "", false, 0 }, { ".", false, 0 },
	{ "1e", false, 0 }, { "e1", false, 0 }, { "1e999", false, 0 },
	{ "inf", false, 0 }, { "nan", false, 0 }, { "0x1p3", false, 0 },
	{ " 1", false, 0 }, { "1 ", false, 0 }, { "1-2", false, 0 },
	{ "--1", false, 0 }, { "1,5", false, 0 }, { NULL, false, 0 },
};

START_TEST(numbers_are_decimal_and_finite)
{
	double v = 42;

	ck_assert_int_eq(parse_num(num_rows[_i].text, &v), num_rows[_i].ok);
	ck_assert_double_eq(v, num_rows[_i].ok ? num_rows[_i].value : 42);
}
END_TEST

static const struct {
	const char *text;
	bool ok, value;
} bool_rows[] = {
	{ "true", true, true }, { "False", true, false },
	{ "YES", true, true }, { "no", true, false }, { "on", true, true },
	{ "off", true, false }, { "1", true, true }, { "0", true, false },
	{ "t", true, true }, { "F", true, false }, { "y", true, true },
	{ "n", true, false }, { "", false, false }, { "2", false, false },
	{ " true", false, false }, { "truey", false, false },
	{ NULL, false, false },
};

START_TEST(booleans_have_these_words)
{
	bool v = !bool_rows[_i].value;

	ck_assert_int_eq(parse_bool(bool_rows[_i].text, &v),
	    bool_rows[_i].ok);
	ck_assert_int_eq(v, bool_rows[_i].ok ? bool_rows[_i].value :
	    !bool_rows[_i].value);
}
END_TEST

/* --- env ----------------------------------------------------------------- */

static struct env *
env_of(const char *text, bool secrets)
{
	struct err e = ERR_INIT;
	struct env *env = NULL;

	ck_ok(env_load(base_write("env", text), false, secrets, &env, &e),
	    &e);
	return env;
}

static const struct {
	const char *line, *want;	/* of T_X; NULL: unset */
} env_rows[] = {
	{ "T_X=a", "a" }, { "T_X=a\r\n", "a" }, { "  T_X=a  \n", "a" },
	{ "export T_X=a\n", "a" }, { "export\tT_X = a b \n", "a b" },
	{ "T_X=\n", NULL }, { "T_X=''\n", NULL }, { "", NULL },
	{ "# T_X=a\n", NULL }, { "T_X=a # why\n", "a" },
	{ "T_X=a#b\n", "a#b" }, { "T_X=#b\n", NULL },
	{ "T_X='a # b'\n", "a # b" }, { "T_X=' a '\n", " a " },
	{ "T_X='a\\n\"b'\n", "a\\n\"b" }, { "T_X=\"a 'b'\"\n", "a 'b'" },
	{ "T_X=\"a\\\"b\\\\c\\$d\\ne\"\n", "a\"b\\c$d\\ne" },
	{ "T_X='a' # why\n", "a" }, { "T_X=a=b\n", "a=b" },
	{ "T_X=a\nT_X=b\n", "b" }, { "T_X=a\nT_X=\n", NULL },
	{ "T_XX=a\n", NULL }, { "T_X=\xc3\xa9\n", "\xc3\xa9" },
	{ "exportT_X=a\n", NULL }, { "\n\n\nT_X=a", "a" },
	{ "export=1\nT_X=a\n", "a" },
};

START_TEST(an_env_line_gives_its_value)
{
	struct env *env = env_of(env_rows[_i].line, false);
	const char *v = env_get(env, "T_X");

	if (env_rows[_i].want == NULL)
		ck_assert_ptr_null(v);
	else
		ck_assert_pstr_eq(v, env_rows[_i].want);
	env_free(env);
}
END_TEST

static const struct {
	const char *text, *want;	/* want: end of the message */
} bad_env[] = {
	{ "A=1\nnonsense\n", ":2: expected NAME=value" },
	{ "=1\n", ":1: expected NAME=value" },
	{ "1A=1\n", ":1: expected NAME=value" },
	{ "A-B=1\n", ":1: expected NAME=value" },
	{ "A B=1\n", ":1: expected NAME=value" },
	{ "A='x\nB=1\n", ":1: the quote is not closed" },
	{ "A=\"x\\\"\n", ":1: the quote is not closed" },
	{ "A='x'y\n", ":1: text after the closing quote" },
	{ "X_KEY='secret\n", ":1: the quote is not closed" },
};

START_TEST(a_faulty_env_file_names_the_line_and_not_its_text)
{
	struct env *env = NULL;
	struct err e = ERR_INIT;
	const char *want = bad_env[_i].want;

	ck_fails(env_load(base_write("env", bad_env[_i].text), false, true,
	    &env, &e), ERR_CONFIG);
	ck_assert_ptr_null(env);
	ck_assert_uint_gt(strlen(e.msg), strlen(want));
	ck_assert_str_eq(e.msg + strlen(e.msg) - strlen(want), want);
	ck_assert_ptr_null(strstr(e.msg, "secret"));
}
END_TEST

START_TEST(the_process_wins_and_the_file_fills_gaps)
{
	struct env *env;

	setenv("T_REAL", "real", 1);
	setenv("T_BLANK", "", 1);
	unsetenv("T_GAP");
	env = env_of("T_REAL=file\nT_BLANK=file\nT_GAP=file\n", false);
	ck_assert_str_eq(env_get(env, "T_REAL"), "real");
	ck_assert_str_eq(env_get(env, "T_BLANK"), "file");
	ck_assert_str_eq(env_get(env, "T_GAP"), "file");
	ck_assert_ptr_null(getenv("T_GAP"));
	ck_assert_str_eq(env_get(NULL, "T_REAL"), "real");
	ck_assert_ptr_null(env_get(NULL, "T_BLANK"));
	ck_assert_ptr_null(env_get(NULL, "T_GAP"));
	env_free(env);
}
END_TEST

START_TEST(secrets_are_for_those_who_may_hold_them)
{
	static const char text[] = "T_A_KEY=k\nT_A_TOKEN=t\n"
	    "T_A_SECRET=s\nT_A_PASSWORD=p\nT_A_KEYS=open\n";
	struct env *env;

	setenv("T_B_KEY", "real", 1);
	env = env_of(text, false);
	ck_assert_ptr_null(env_get(env, "T_A_KEY"));
	ck_assert_ptr_null(env_get(env, "T_A_TOKEN"));
	ck_assert_ptr_null(env_get(env, "T_A_SECRET"));
	ck_assert_ptr_null(env_get(env, "T_A_PASSWORD"));
	ck_assert_str_eq(env_get(env, "T_A_KEYS"), "open");
	ck_assert_ptr_null(env_get(env, "T_B_KEY"));
	env_free(env);
	env = env_of(text, true);
	ck_assert_str_eq(env_get(env, "T_A_KEY"), "k");
	ck_assert_str_eq(env_get(env, "T_A_PASSWORD"), "p");
	ck_assert_str_eq(env_get(env, "T_B_KEY"), "real");
	env_free(env);
}
END_TEST

/*
 * A secret that this process never has in one piece: a child writes it to
 * the file, letter by letter, and the search below compares with what each
 * letter would be.
 */
#define SECRET_LEN 24
#define REGION_MAX (256L * 1024 * 1024)	/* larger ones are a sanitizer's */

static unsigned char
secret_letter(size_t i)
{
	return (unsigned char)('A' + (i * 7 + 5) % 26);
}

static void
write_secret_file(const char *path)
{
	unsigned char c;
	int fd, status;
	size_t i;
	pid_t pid;

	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		file_write_all(fd, "T_OPEN=1\nT_DEEP_KEY='", 21, NULL);
		for (i = 0; i < SECRET_LEN; i++) {
			c = secret_letter(i);
			file_write_all(fd, &c, 1, NULL);
		}
		_exit(file_write_all(fd, "'\n", 2, NULL));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool
region_has_secret(int mem, unsigned long from, unsigned long to)
{
	static unsigned char page[4096 + SECRET_LEN];
	unsigned long at;
	size_t i, k;
	ssize_t n;

	for (at = from; at < to; at += 4096) {
		n = pread(mem, page, sizeof(page), (off_t)at);
		for (i = 0; n > 0 && i + SECRET_LEN <= (size_t)n; i++) {
			for (k = 0; k < SECRET_LEN; k++)
				if (page[i + k] != secret_letter(k))
					break;
			if (k == SECRET_LEN) {
				explicit_bzero(page, sizeof(page));
				return true;
			}
		}
	}
	explicit_bzero(page, sizeof(page));
	return false;
}

/* Is the secret anywhere in the writable memory of this process? */
static bool
memory_has_secret(void)
{
	unsigned long from, to;
	bool found = false;
	char line[512], *p;
	FILE *maps;
	int mem;

	maps = fopen("/proc/self/maps", "r");
	mem = open("/proc/self/mem", O_RDONLY);
	ck_assert_ptr_nonnull(maps);
	ck_assert_int_ne(mem, -1);
	while (!found && fgets(line, sizeof(line), maps) != NULL) {
		from = strtoul(line, &p, 16);
		to = strtoul(p + 1, &p, 16);
		if (p[1] == 'r' && p[2] == 'w' && to - from <= REGION_MAX)
			found = region_has_secret(mem, from, to);
	}
	close(mem);
	fclose(maps);
	return found;
}

START_TEST(a_secret_does_not_stay_in_memory)
{
	struct env *env = NULL;
	struct err e = ERR_INIT;

	write_secret_file(base_path("env"));
	ck_ok(env_load(base_path("env"), false, false, &env, &e), &e);
	ck_assert_str_eq(env_get(env, "T_OPEN"), "1");
	ck_assert(!memory_has_secret());
	env_free(env);
	env = NULL;
	/* That the search finds what is there, and wiping removes it. */
	ck_ok(env_load(base_path("env"), false, true, &env, &e), &e);
	ck_assert_uint_eq(strlen(env_get(env, "T_DEEP_KEY")), SECRET_LEN);
	ck_assert(memory_has_secret());
	env_free(env);
	ck_assert(!memory_has_secret());
}
END_TEST

START_TEST(secret_names_are_known_by_their_end)
{
	ck_assert(env_is_secret_name("OPENAI_API_KEY"));
	ck_assert(env_is_secret_name("a_token"));
	ck_assert(env_is_secret_name("_SECRET"));
	ck_assert(env_is_secret_name("DB_PASSWORD"));
	ck_assert(!env_is_secret_name("KEY"));
	ck_assert(!env_is_secret_name("MONKEY"));
	ck_assert(!env_is_secret_name("KEY_FILE"));
	ck_assert(!env_is_secret_name(""));
}
END_TEST

START_TEST(an_env_file_may_be_absent_if_it_is_optional)
{
	struct env *env = NULL;
	struct err e = ERR_INIT;

	ck_ok(env_load(NULL, false, false, &env, &e), &e);
	ck_assert_ptr_null(env_get(env, "T_NO_SUCH_NAME"));
	env_free(env);
	env = NULL;
	ck_ok(env_load(base_path("none"), true, false, &env, &e), &e);
	env_free(env);
	env = NULL;
	ck_fails(env_load(base_path("none"), false, false, &env, &e),
	    ERR_NOT_FOUND);
	ck_fails(env_load(base_path(""), true, false, &env, &e), ERR_SYSTEM);
	ck_assert_ptr_null(env);
	env_free(NULL);
}
END_TEST

START_TEST(an_env_file_may_not_hold_a_nul)
{
	struct env *env = NULL;
	struct err e = ERR_INIT;

	ck_ok(file_replace(base_temp_fd(), "env", "A=1\nB=\0x\n", 9, 0600,
	    &e), &e);
	ck_fails(env_load(base_path("env"), false, false, &env, &e),
	    ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(e.msg, "env:2: the line holds a NUL"));
	ck_assert_ptr_null(env);
}
END_TEST

START_TEST(an_env_file_has_a_maximum)
{
	char *text = base_repeat(ENV_FILE_MAX_BYTES + 1, "#", "", "");
	struct env *env = NULL;
	struct err e = ERR_INIT;

	ck_fails(env_load(base_write("env", text), false, false, &env, &e),
	    ERR_CONFIG);
	text[ENV_FILE_MAX_BYTES] = '\0';
	ck_ok(env_load(base_write("env", text), false, false, &env, &e), &e);
	env_free(env);
	free(text);
}
END_TEST

/* --- suite --------------------------------------------------------------- */

static TCase *
yaml_case(void)
{
	TCase *tc = tcase_create("yaml");

	tcase_add_checked_fixture(tc, base_temp_setup, base_temp_teardown);
	tcase_add_test(tc, a_yaml_file_becomes_a_tree_with_lines);
	add_rows(tc, an_empty_yaml_file_is_an_empty_map, empty_yaml);
	add_rows(tc, faulty_yaml_names_its_line, bad_yaml);
	tcase_add_test(tc, yaml_may_nest_to_its_depth);
	tcase_add_test(tc, yaml_is_loaded_from_its_file);
	tcase_add_loop_test(tc, yaml_becomes_json_without_surprises, 0,
	    ARRAY_LEN(as_json));
	tcase_add_test(tc, a_yaml_list_has_a_longest_length);
	tcase_add_test(tc, a_yaml_map_has_a_longest_length);
	tcase_add_test(tc,
	    plain_scalars_mean_something_and_quoted_ones_are_text);
	add_rows(tc, integers_are_decimal_and_whole, int_rows);
	add_rows(tc, numbers_are_decimal_and_finite, num_rows);
	add_rows(tc, booleans_have_these_words, bool_rows);
	return tc;
}

static TCase *
env_case(void)
{
	TCase *tc = tcase_create("env");

	tcase_add_checked_fixture(tc, base_temp_setup, base_temp_teardown);
	add_rows(tc, an_env_line_gives_its_value, env_rows);
	add_rows(tc, a_faulty_env_file_names_the_line_and_not_its_text,
	    bad_env);
	tcase_add_test(tc, the_process_wins_and_the_file_fills_gaps);
	tcase_add_test(tc, secrets_are_for_those_who_may_hold_them);
	tcase_add_test(tc, a_secret_does_not_stay_in_memory);
	tcase_add_test(tc, secret_names_are_known_by_their_end);
	tcase_add_test(tc, an_env_file_may_be_absent_if_it_is_optional);
	tcase_add_test(tc, an_env_file_may_not_hold_a_nul);
	tcase_add_test(tc, an_env_file_has_a_maximum);
	return tc;
}

Suite *
base_data_suite(void)
{
	Suite *s = suite_create("base: data");

	suite_add_tcase(s, yaml_case());
	suite_add_tcase(s, env_case());
	return s;
}
