/*
 * churns-image: the one place where strangers' pixels are decoded.
 *
 * Decoders of picture formats are where memory bugs live.  So the runner
 * never decodes: it starts this program with an empty environment, one
 * operation per process, and reads one JSON object from its standard output.
 * Whatever a hostile picture does to a decoder, it does to a process that
 * holds no key, no database and no socket, and that limited itself before it
 * opened the file:
 *
 *   address space, CPU time, wall time, open files, size of a file written,
 *   no core file, no new privileges.
 *
 *   0   done; one JSON object on standard output
 *   1   our own trouble (file missing, disk full); one sentence on stderr
 *   2   the picture is no good (not a picture, cut off, damaged, too large)
 *   64  wrong usage
 *   killed by SIGXCPU, SIGALRM, SIGSEGV...: the picture is no good either
 *
 * Results are written beside their target under a temporary name, synced and
 * renamed: a target is never half a picture.
 */
#include "image.h"

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <libgen.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "xalloc.h"

#define EXIT_TROUBLE 1
#define EXIT_BAD_PICTURE 2
#define EXIT_USAGE 64

#define LIMIT_MEMORY_BYTES (1024L * 1024 * 1024)
#define LIMIT_CPU_S 30
#define LIMIT_WALL_S 60
#define LIMIT_FILES 16
#define LIMIT_WRITE_BYTES (256L * 1024 * 1024)

#define DEFAULT_MAX_PIXELS 60000000
#define DEFAULT_QUALITY 85
#define DEFAULT_COLORS 6
#define RESULT_MODE 0640

struct options {
	int64_t max_pixels;
	int max_side;		/* 0: not given */
	int width;		/* 0: not given */
	int quality;
	int max_colors;
	enum image_type format;
	struct mark mark;
	const char *base, *mask, *region, *shapes;	/* NULL: not given */
	const char *in;
	const char *out;	/* NULL where the operation has none */
};

struct operation {
	const char *name;
	int n_paths;		/* 1: IN, 2: IN and OUT */
	enum err_code (*exec)(const struct options *o,
	    struct json_object *result, struct err *e);
};

/* --- before anything is opened ----------------------------------------- */

static void
limit(int what, rlim_t value)
{
	struct rlimit r = { value, value };

	setrlimit(what, &r);
}

static void
limit_myself(void)
{
	/* The address space of ASan's shadow is larger than any limit. */
#ifndef __SANITIZE_ADDRESS__
	limit(RLIMIT_AS, LIMIT_MEMORY_BYTES);
#endif
	limit(RLIMIT_CPU, LIMIT_CPU_S);
	limit(RLIMIT_NOFILE, LIMIT_FILES);
	limit(RLIMIT_FSIZE, LIMIT_WRITE_BYTES);
	limit(RLIMIT_CORE, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/* Too long a file is then an error of write(2), which we report. */
	signal(SIGXFSZ, SIG_IGN);
	alarm(LIMIT_WALL_S);
}

/* --- results ----------------------------------------------------------- */

enum err_code
result_write(const char *path, const struct strbuf *data, struct err *e)
{
	char *for_dir = xstrdup(path), *for_base = xstrdup(path);
	enum err_code rc;
	int dirfd = -1;

	rc = file_open_dir(AT_FDCWD, dirname(for_dir), &dirfd, e);
	if (rc == ERR_OK)
		rc = file_replace(dirfd, basename(for_base), data->buf,
		    data->len, RESULT_MODE, e);
	if (dirfd >= 0)
		close(dirfd);
	free(for_base);
	free(for_dir);
	return rc;
}

static void
put_shape(struct json_object *result, enum image_type type, int w, int h)
{
	json_put_str(result, "type", picture_type_name(type));
	json_put_int(result, "width", w);
	json_put_int(result, "height", h);
}

/* --- operations -------------------------------------------------------- */

static enum err_code
op_inspect(const struct options *o, struct json_object *result, struct err *e)
{
	struct picture p;
	gdImagePtr im = NULL;
	enum err_code rc;

	rc = picture_load(o->in, o->max_pixels, &p, e);
	if (rc == ERR_OK)
		rc = picture_decode(&p, &im, e);
	if (rc == ERR_OK) {
		put_shape(result, p.type, gdImageSX(im), gdImageSY(im));
		json_put_int(result, "orientation", p.orientation);
		gdImageDestroy(im);
	}
	picture_release(&p);
	return rc;
}

static enum err_code
op_fit(const struct options *o, struct json_object *result, struct err *e)
{
	struct strbuf data = STRBUF_INIT(IMAGE_MAX_FILE_BYTES);
	gdImagePtr im = NULL, small = NULL;
	struct picture p;
	enum err_code rc;

	rc = picture_load(o->in, o->max_pixels, &p, e);
	if (rc == ERR_OK)
		rc = picture_decode(&p, &im, e);
	if (rc == ERR_OK)
		rc = fit_scale(im, o->max_side, o->format == IMAGE_JPEG,
		    &small, e);
	/* Turning is cheaper once the picture is small. */
	if (rc == ERR_OK)
		rc = orientation_apply(&small, p.orientation, e);
	if (rc == ERR_OK)
		rc = fit_encode(small, o->format, o->quality, &data, e);
	if (rc == ERR_OK)
		rc = result_write(o->out, &data, e);
	if (rc == ERR_OK) {
		put_shape(result, o->format, gdImageSX(small),
		    gdImageSY(small));
		json_put_int(result, "bytes", (int64_t)data.len);
	}
	if (small != NULL)
		gdImageDestroy(small);
	if (im != NULL)
		gdImageDestroy(im);
	picture_release(&p);
	strbuf_release(&data);
	return rc;
}

/* A type whose metadata we do not write becomes a PNG of the same pixels;
 * its own note of how to turn it is lost with that, so it is applied. */
static enum err_code
as_png(struct picture *p, gdImagePtr *im, struct err *e)
{
	struct strbuf data = STRBUF_INIT(IMAGE_MAX_FILE_BYTES);
	enum err_code rc;

	rc = orientation_apply(im, p->orientation, e);
	if (rc == ERR_OK)
		rc = fit_encode(*im, IMAGE_PNG, 0, &data, e);
	if (rc != ERR_OK) {
		strbuf_release(&data);
		return rc;
	}
	strbuf_release(&p->bytes);
	p->bytes = data;
	p->type = IMAGE_PNG;
	return ERR_OK;
}

static enum err_code
op_finish(const struct options *o, struct json_object *result, struct err *e)
{
	struct strbuf data = STRBUF_INIT(IMAGE_MAX_FILE_BYTES);
	char *path = NULL, *name;
	gdImagePtr im = NULL;
	struct picture p;
	enum err_code rc;

	rc = picture_load(o->in, o->max_pixels, &p, e);
	if (rc == ERR_OK)
		rc = picture_decode(&p, &im, e);
	if (rc == ERR_OK && p.type != IMAGE_PNG && p.type != IMAGE_JPEG)
		rc = as_png(&p, &im, e);
	if (rc == ERR_OK)
		rc = mark_write(&p, &o->mark, &data, e);
	if (rc == ERR_OK) {
		path = xasprintf("%s.%s", o->out, image_extension(p.type));
		rc = result_write(path, &data, e);
	}
	if (rc == ERR_OK) {
		name = strrchr(path, '/');
		json_put_str(result, "file", name != NULL ? name + 1 : path);
		put_shape(result, p.type, gdImageSX(im), gdImageSY(im));
		json_put_int(result, "bytes", (int64_t)data.len);
	}
	free(path);
	if (im != NULL)
		gdImageDestroy(im);
	picture_release(&p);
	strbuf_release(&data);
	return rc;
}

static enum err_code
op_mark(const struct options *o, struct json_object *result, struct err *e)
{
	struct json_object *found = NULL;
	struct picture p;
	enum err_code rc;

	rc = picture_load(o->in, o->max_pixels, &p, e);
	if (rc == ERR_OK)
		rc = mark_read(&p, &found, e);
	if (rc == ERR_OK) {
		json_object_object_foreach(found, key, value)
			json_object_object_add(result, key,
			    json_object_get(value));
	}
	json_object_put(found);
	picture_release(&p);
	return rc;
}

static enum err_code
op_palette(const struct options *o, struct json_object *result, struct err *e)
{
	struct json_object *colors;
	struct picture p;
	gdImagePtr im = NULL;
	enum err_code rc;

	rc = picture_load(o->in, o->max_pixels, &p, e);
	if (rc == ERR_OK)
		rc = picture_decode(&p, &im, e);
	if (rc == ERR_OK) {
		colors = palette_of(im, o->max_colors);
		if (colors == NULL)
			rc = err_set(e, ERR_SYSTEM, "no memory for a palette");
		else
			json_put_obj(result, "colors", colors);
		gdImageDestroy(im);
	}
	picture_release(&p);
	return rc;
}

/* The mark of src on the picture in *data, if it has one: a smaller copy is
 * still made by a machine. */
static enum err_code
copy_mark(const struct picture *src, struct strbuf *data, struct err *e)
{
	struct strbuf marked = STRBUF_INIT(IMAGE_MAX_FILE_BYTES);
	struct picture small = { .type = IMAGE_JPEG, .orientation = 1 };
	struct json_object *o = NULL;
	struct mark m;
	enum err_code rc;

	rc = mark_read(src, &o, e);
	if (rc == ERR_NOT_FOUND)
		return ERR_OK;
	if (rc != ERR_OK)
		return rc;
	m.run_id = json_get_str(o, "run_id");
	m.model = json_get_str(o, "model");
	m.prompt_hash = json_get_str(o, "prompt_hash");
	m.simulated = json_get_bool(o, "simulated", false);
	if (m.run_id == NULL)
		m.run_id = "";
	if (m.model == NULL)
		m.model = "";
	if (m.prompt_hash == NULL)
		m.prompt_hash = "";
	small.bytes = *data;
	rc = mark_write(&small, &m, &marked, e);
	if (rc == ERR_OK) {
		strbuf_release(data);
		*data = marked;
	} else {
		strbuf_release(&marked);
	}
	json_object_put(o);
	return rc;
}

static enum err_code
op_thumb(const struct options *o, struct json_object *result, struct err *e)
{
	struct strbuf data = STRBUF_INIT(IMAGE_MAX_FILE_BYTES);
	gdImagePtr im = NULL, small = NULL;
	struct picture p;
	enum err_code rc;
	int longer;

	rc = picture_load(o->in, o->max_pixels, &p, e);
	if (rc == ERR_OK)
		rc = picture_decode(&p, &im, e);
	if (rc == ERR_OK)
		rc = orientation_apply(&im, p.orientation, e);
	if (rc == ERR_OK) {
		/* The width is what was asked for, whichever side is longer. */
		longer = gdImageSX(im) >= gdImageSY(im) ? o->width :
		    (int)((int64_t)o->width * gdImageSY(im) / gdImageSX(im));
		rc = fit_scale(im, longer > 0 ? longer : 1, true, &small, e);
	}
	if (rc == ERR_OK)
		rc = fit_encode(small, IMAGE_JPEG, o->quality, &data, e);
	if (rc == ERR_OK)
		rc = copy_mark(&p, &data, e);
	if (rc == ERR_OK)
		rc = result_write(o->out, &data, e);
	if (rc == ERR_OK) {
		put_shape(result, IMAGE_JPEG, gdImageSX(small),
		    gdImageSY(small));
		json_put_int(result, "bytes", (int64_t)data.len);
	}
	if (small != NULL)
		gdImageDestroy(small);
	if (im != NULL)
		gdImageDestroy(im);
	picture_release(&p);
	strbuf_release(&data);
	return rc;
}

static enum err_code
op_check_mask(const struct options *o, struct json_object *result,
    struct err *e)
{
	return edit_mask(o->base, o->in, NULL, NULL, o->max_pixels, result, e);
}

static enum err_code
op_make_mask(const struct options *o, struct json_object *result,
    struct err *e)
{
	return edit_mask(o->base, o->in, o->out, o->region, o->max_pixels,
	    result, e);
}

static enum err_code
op_draw_mask(const struct options *o, struct json_object *result,
    struct err *e)
{
	return edit_draw_mask(o->in, o->shapes, o->out, o->max_pixels, result,
	    e);
}

static enum err_code
op_composite(const struct options *o, struct json_object *result,
    struct err *e)
{
	return edit_composite(o->base, o->mask, o->in, o->out, o->max_pixels,
	    result, e);
}

static enum err_code
op_compare(const struct options *o, struct json_object *result, struct err *e)
{
	return edit_compare(o->base, o->in, o->max_pixels, result, e);
}

static const struct operation operations[] = {
	{ "inspect", 1, op_inspect },
	{ "fit", 2, op_fit },
	{ "finish", 2, op_finish },
	{ "mark", 1, op_mark },
	{ "palette", 1, op_palette },
	{ "thumb", 2, op_thumb },
	{ "check-mask", 1, op_check_mask },
	{ "make-mask", 2, op_make_mask },
	{ "draw-mask", 2, op_draw_mask },
	{ "composite", 2, op_composite },
	{ "compare", 1, op_compare },
};

/* --- the command line -------------------------------------------------- */

enum option_id {
	OPT_MAX_PIXELS = 256,
	OPT_MAX_SIDE,
	OPT_QUALITY,
	OPT_FORMAT,
	OPT_RUN_ID,
	OPT_MODEL,
	OPT_PROMPT_HASH,
	OPT_SIMULATED,
	OPT_MAX,
	OPT_WIDTH,
	OPT_BASE,
	OPT_MASK,
	OPT_REGION,
	OPT_SHAPES
};

static const struct option long_options[] = {
	{ "max-pixels", required_argument, NULL, OPT_MAX_PIXELS },
	{ "max-side", required_argument, NULL, OPT_MAX_SIDE },
	{ "quality", required_argument, NULL, OPT_QUALITY },
	{ "format", required_argument, NULL, OPT_FORMAT },
	{ "run-id", required_argument, NULL, OPT_RUN_ID },
	{ "model", required_argument, NULL, OPT_MODEL },
	{ "prompt-hash", required_argument, NULL, OPT_PROMPT_HASH },
	{ "simulated", no_argument, NULL, OPT_SIMULATED },
	{ "max", required_argument, NULL, OPT_MAX },
	{ "width", required_argument, NULL, OPT_WIDTH },
	{ "base", required_argument, NULL, OPT_BASE },
	{ "mask", required_argument, NULL, OPT_MASK },
	{ "region", required_argument, NULL, OPT_REGION },
	{ "shapes", required_argument, NULL, OPT_SHAPES },
	{ NULL, 0, NULL, 0 }
};

static const char usage_text[] =
    "usage: churns-image inspect IN\n"
    "       churns-image fit --max-side N [--quality Q] "
    "[--format jpeg|png] IN OUT\n"
    "       churns-image finish --run-id U --model M --prompt-hash H "
    "[--simulated] IN OUTBASE\n"
    "       churns-image mark IN\n"
    "       churns-image palette [--max N] IN\n"
    "       churns-image thumb --width N [--quality Q] IN OUT\n"
    "       churns-image check-mask --base BASE MASK\n"
    "       churns-image make-mask --base BASE [--region REGION] MASK OUT\n"
    "       churns-image draw-mask --shapes JSON BASE OUT\n"
    "       churns-image composite --base BASE --mask MASK EDITED OUT\n"
    "       churns-image compare --base BASE IN\n"
    "       all: [--max-pixels N]\n";

static bool
number(const char *text, int64_t low, int64_t high, int64_t *out)
{
	char *end = NULL;
	long long v;

	v = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || v < low || v > high)
		return false;
	*out = v;
	return true;
}

static bool
set_format(struct options *o, const char *name)
{
	if (strcmp(name, "jpeg") == 0)
		o->format = IMAGE_JPEG;
	else if (strcmp(name, "png") == 0)
		o->format = IMAGE_PNG;
	else
		return false;
	return true;
}

static bool
set_option(struct options *o, int id)
{
	int64_t n = 0;

	switch (id) {
	case OPT_MAX_PIXELS:
		return number(optarg, 1, INT32_MAX, &o->max_pixels);
	case OPT_MAX_SIDE:
		if (!number(optarg, 1, IMAGE_MAX_SIDE, &n))
			return false;
		o->max_side = (int)n;
		return true;
	case OPT_QUALITY:
		if (!number(optarg, 1, 100, &n))
			return false;
		o->quality = (int)n;
		return true;
	case OPT_MAX:
		if (!number(optarg, 1, PALETTE_MAX_COLORS, &n))
			return false;
		o->max_colors = (int)n;
		return true;
	case OPT_FORMAT:
		return set_format(o, optarg);
	case OPT_RUN_ID:
		o->mark.run_id = optarg;
		return true;
	case OPT_MODEL:
		o->mark.model = optarg;
		return true;
	case OPT_PROMPT_HASH:
		o->mark.prompt_hash = optarg;
		return true;
	case OPT_SIMULATED:
		o->mark.simulated = true;
		return true;
	case OPT_WIDTH:
		if (!number(optarg, 1, IMAGE_MAX_SIDE, &n))
			return false;
		o->width = (int)n;
		return true;
	case OPT_BASE:
		o->base = optarg;
		return true;
	case OPT_MASK:
		o->mask = optarg;
		return true;
	case OPT_REGION:
		o->region = optarg;
		return true;
	case OPT_SHAPES:
		o->shapes = optarg;
		return true;
	}
	return false;
}

static const struct operation *
find_operation(const char *name)
{
	size_t i;

	for (i = 0; name != NULL && i < ARRAY_LEN(operations); i++)
		if (strcmp(name, operations[i].name) == 0)
			return &operations[i];
	return NULL;
}

/* What an operation cannot do without. */
static bool
is_complete(const struct operation *op, const struct options *o)
{
	if (op->exec == op_fit)
		return o->max_side > 0;
	if (op->exec == op_finish)
		return o->mark.run_id != NULL && o->mark.model != NULL &&
		    o->mark.prompt_hash != NULL;
	if (op->exec == op_thumb)
		return o->width > 0;
	if (op->exec == op_draw_mask)
		return o->shapes != NULL;
	if (op->exec == op_composite)
		return o->base != NULL && o->mask != NULL;
	if (op->exec == op_check_mask || op->exec == op_make_mask ||
	    op->exec == op_compare)
		return o->base != NULL;
	return true;
}

static const struct operation *
parse(int argc, char **argv, struct options *o)
{
	const struct operation *op;
	int c;

	opterr = 0;
	for (;;) {
		c = getopt_long(argc, argv, "", long_options, NULL);
		if (c == -1)
			break;
		if (!set_option(o, c))
			return NULL;
	}
	/* Options may stand on either side of the operation. */
	op = find_operation(optind < argc ? argv[optind++] : NULL);
	if (op == NULL || argc - optind != op->n_paths)
		return NULL;
	o->in = argv[optind];
	o->out = op->n_paths == 2 ? argv[optind + 1] : NULL;
	return is_complete(op, o) ? op : NULL;
}

static int
report(enum err_code rc, const struct err *e, const struct json_object *result)
{
	char *text;

	if (rc == ERR_OK) {
		text = json_to_text(result);
		if (puts(text) == EOF || fflush(stdout) == EOF)
			rc = ERR_SYSTEM;
		free(text);
		return rc == ERR_OK ? EXIT_SUCCESS : EXIT_TROUBLE;
	}
	fprintf(stderr, "churns-image: %s\n", e->msg);
	return rc == ERR_INVALID || rc == ERR_TOO_LARGE ? EXIT_BAD_PICTURE :
	    EXIT_TROUBLE;
}

int
main(int argc, char **argv)
{
	struct options o = {
		.max_pixels = DEFAULT_MAX_PIXELS,
		.quality = DEFAULT_QUALITY,
		.max_colors = DEFAULT_COLORS,
		.format = IMAGE_JPEG,
	};
	const struct operation *op;
	struct json_object *result;
	struct err e = ERR_INIT;
	enum err_code rc;
	int status;

	limit_myself();
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("churns-image " CHURNS_VERSION);
		return EXIT_SUCCESS;
	}
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(usage_text, stdout);
		return EXIT_SUCCESS;
	}
	op = parse(argc, argv, &o);
	if (op == NULL) {
		fputs(usage_text, stderr);
		return EXIT_USAGE;
	}
	result = json_object_new_object();
	rc = op->exec(&o, result, &e);
	status = report(rc, &e, result);
	json_object_put(result);
	return status;
}
