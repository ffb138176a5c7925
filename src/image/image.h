/*
 * What the files of churns-image share.
 *
 * A picture is held as the bytes of its file; pixels exist only between
 * picture_decode() and gdImageDestroy().  Nothing is believed of the bytes
 * beyond their length: every walker below stops at the end of the buffer.
 *
 * ERR_INVALID and ERR_TOO_LARGE mean "this picture is no good" and become
 * exit status 2; every other code is our own trouble and becomes 1.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gd.h>

#include "err.h"
#include "file.h"
#include "json.h"
#include "strbuf.h"

#define IMAGE_MAX_FILE_BYTES (96 * 1024 * 1024)
#define IMAGE_MAX_SIDE 65535	/* of what we are asked to make */
#define PALETTE_MAX_COLORS 16

struct picture {
	struct strbuf bytes;	/* the file, whole */
	enum image_type type;	/* by its first bytes */
	int width, height;	/* as stored, before any turning */
	int orientation;	/* EXIF 1..8; 1 when it says nothing */
};

/* "png", "jpeg", "webp", "gif"; what --format and the answers call a type. */
const char *picture_type_name(enum image_type t);

/*
 * Read a picture file and refuse what is not worth decoding: unknown type,
 * unreadable header, more than max_pixels, cut off.  The picture is to be
 * released whatever happens.
 * Errors: ERR_INVALID, ERR_TOO_LARGE, ERR_NOT_FOUND, ERR_SYSTEM.
 */
enum err_code picture_load(const char *path, int64_t max_pixels,
    struct picture *p, struct err *e);
void picture_release(struct picture *p);

/* All of its pixels, true colour; caller destroys. Damage is ERR_INVALID. */
enum err_code picture_decode(const struct picture *p, gdImagePtr *out,
    struct err *e);

/* --- segments.c: the containers, without their pixels ------------------ */

/* One segment of a JPEG, from its 0xff to its end. The last one starts at
 * SOS and runs to the end of the file. */
struct jpeg_segment {
	unsigned marker;	/* 0xe1 for APP1, ... */
	const unsigned char *start;
	size_t len;		/* with marker and length bytes */
	const unsigned char *body;
	size_t body_len;
};

struct png_chunk {
	char type[5];
	const unsigned char *start;
	size_t len;		/* with length, type and CRC */
	const unsigned char *body;
	size_t body_len;
};

/* Step through; *at is 0 before the first. False at the end or when what
 * follows is broken. */
bool jpeg_next(const struct strbuf *file, size_t *at, struct jpeg_segment *out);
bool png_next(const struct strbuf *file, size_t *at, struct png_chunk *out);
/* The contents of a RIFF chunk of a WebP, or NULL. */
const unsigned char *webp_find(const struct strbuf *file, const char *fourcc,
    size_t *out_len);

/* Does the file reach its own end (EOI, IEND, the RIFF length, the last
 * block of the first GIF frame)? */
bool picture_is_whole(const struct picture *p);

/* Append one PNG chunk, with its CRC. */
void png_add_chunk(struct strbuf *out, const char *type, const void *body,
    size_t len);

/* Append the JPEG without the segments that drop() points at, with what is in
 * insert (whole segments; may be empty) after the leading APP0 and EXIF. */
void jpeg_rewrite(const struct strbuf *file,
    bool (*drop)(const struct jpeg_segment *s), const struct strbuf *insert,
    struct strbuf *out);

/* --- orient.c ---------------------------------------------------------- */

/* EXIF orientation, 1..8; 1 when there is none or it is nonsense. */
int orientation_read(const struct picture *p);

/* Turn *im so that it is upright; *im is replaced. ERR_SYSTEM: no memory. */
enum err_code orientation_apply(gdImagePtr *im, int orientation,
    struct err *e);

/* --- mark.c ------------------------------------------------------------ */

struct mark {
	const char *run_id;
	const char *model;
	const char *prompt_hash;
	bool simulated;
};

/* The bytes of p with the mark in them, pixels untouched, to out. Only for
 * PNG and JPEG. */
enum err_code mark_write(const struct picture *p, const struct mark *m,
    struct strbuf *out, struct err *e);

/* What mark_write() left, as the object "mark" prints; ERR_NOT_FOUND when
 * the picture has no such mark. */
enum err_code mark_read(const struct picture *p, struct json_object **out,
    struct err *e);

/* --- fit.c ------------------------------------------------------------- */

/*
 * im scaled down so that its longer side is at most max_side (never up), for
 * the given format: JPEG has no transparency, so it is laid on white.
 * *out is the caller's; im stays.
 */
enum err_code fit_scale(gdImagePtr im, int max_side, bool opaque,
    gdImagePtr *out, struct err *e);

/* Encode, without any metadata. quality is for JPEG only. */
enum err_code fit_encode(gdImagePtr im, enum image_type type, int quality,
    struct strbuf *out, struct err *e);

/* --- edit.c ------------------------------------------------------------ */

/*
 * Check a mask that people painted (white: may change) for the picture base,
 * and make of it what is not NULL: out, the provider's form of it
 * (transparent: may change), and region, the part of base that may change with
 * nothing around it.  result tells the size, how much is selected and where.
 * ERR_INVALID: not an 8-bit grey, RGB or RGBA PNG, another size than the
 * picture, or nothing is selected.
 */
enum err_code edit_mask(const char *base_path, const char *mask_path,
    const char *out, const char *region, int64_t max_pixels,
    struct json_object *result, struct err *e);

/*
 * The edited picture with base put back wherever the mask says that nothing
 * may change, in the size of base, as PNG.  When the two differ in shape that
 * cannot be done: result says composited false, nothing is written.
 */
enum err_code edit_composite(const char *base_path, const char *mask_path,
    const char *edited_path, const char *out, int64_t max_pixels,
    struct json_object *result, struct err *e);

/* How far other, scaled to base, differs: max_difference and mean_difference
 * in levels of 0..255, same_aspect. */
enum err_code edit_compare(const char *base_path, const char *other_path,
    int64_t max_pixels, struct json_object *result, struct err *e);

/* A mask for base drawn from shapes (JSON: one, or a list; coordinates are
 * fractions), white on black. ERR_INVALID when they make no sense. */
enum err_code edit_draw_mask(const char *base_path, const char *shapes_text,
    const char *out, int64_t max_pixels, struct json_object *result,
    struct err *e);

/* --- main.c ------------------------------------------------------------ */

/* Write a result under a temporary name, sync, rename. */
enum err_code result_write(const char *path, const struct strbuf *data,
    struct err *e);

/* --- palette.c --------------------------------------------------------- */

/* [{"hex","role","label","ratio"}], at most max of them; caller's. */
struct json_object *palette_of(gdImagePtr im, int max);

#endif
