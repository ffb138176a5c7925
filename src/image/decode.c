/*
 * From a file to pixels, for strangers' bytes.
 *
 * What a picture is, is read from its first bytes; how large it is, from its
 * header, before a single pixel is allocated.  Then libgd decodes from
 * memory with a length, so no decoder reads beyond the file.
 *
 * libgd swallows damage where it can: a JPEG that ends early becomes half
 * grey, and only its error callback hears of it.  We listen there, and
 * picture_is_whole() looks for the end of the file itself.
 */
#include "image.h"

#include <stdio.h>

#define WARNING_MAX 160

/* One picture per process, so one place for what its decoder complained of. */
static char decoder_said[WARNING_MAX];

const char *
picture_type_name(enum image_type t)
{
	switch (t) {
	case IMAGE_PNG:
		return "png";
	case IMAGE_JPEG:
		return "jpeg";
	case IMAGE_WEBP:
		return "webp";
	case IMAGE_GIF:
		return "gif";
	case IMAGE_NONE:
		break;
	}
	return "none";
}

static void __attribute__((format(printf, 2, 0)))
note_complaint(int priority, const char *fmt, va_list ap)
{
	(void)priority;
	/* libjpeg passes on the first of its warnings only; keep the first. */
	if (decoder_said[0] == '\0')
		vsnprintf(decoder_said, sizeof(decoder_said), fmt, ap);
}

/*
 * Is what the JPEG decoder said damage to the pixels?  Cameras do leave
 * stray bytes before a marker and odd headers; everybody shows such files.
 */
static bool
is_damage(const char *said)
{
	if (strstr(said, "Premature end") != NULL)
		return true;
	return strstr(said, "Corrupt JPEG data") != NULL &&
	    strstr(said, "extraneous bytes") == NULL;
}

enum err_code
picture_load(const char *path, int64_t max_pixels, struct picture *p,
    struct err *e)
{
	enum err_code rc;

	memset(p, 0, sizeof(*p));
	strbuf_init(&p->bytes, IMAGE_MAX_FILE_BYTES);
	rc = file_read(path, IMAGE_MAX_FILE_BYTES, &p->bytes, e);
	if (rc != ERR_OK)
		return rc;
	p->type = image_sniff(p->bytes.buf, p->bytes.len);
	if (p->type == IMAGE_NONE)
		return err_set(e, ERR_INVALID,
		    "the file is not a PNG, JPEG, WebP or GIF picture");
	if (!image_dimensions(p->bytes.buf, p->bytes.len, &p->width,
	    &p->height))
		return err_set(e, ERR_INVALID,
		    "the %s picture has no readable size in its header",
		    picture_type_name(p->type));
	if ((int64_t)p->width * p->height > max_pixels)
		return err_set(e, ERR_TOO_LARGE,
		    "the picture has %d x %d pixels, at most %lld are allowed",
		    p->width, p->height, (long long)max_pixels);
	if (!picture_is_whole(p))
		return err_set(e, ERR_INVALID,
		    "the %s picture is cut off or its structure is broken",
		    picture_type_name(p->type));
	p->orientation = orientation_read(p);
	return ERR_OK;
}

void
picture_release(struct picture *p)
{
	strbuf_release(&p->bytes);
}

static gdImagePtr
decode(enum image_type type, int size, void *data)
{
	switch (type) {
	case IMAGE_PNG:
		return gdImageCreateFromPngPtr(size, data);
	case IMAGE_JPEG:
		return gdImageCreateFromJpegPtrEx(size, data, 0);
	case IMAGE_WEBP:
		return gdImageCreateFromWebpPtr(size, data);
	case IMAGE_GIF:
		return gdImageCreateFromGifPtr(size, data);
	case IMAGE_NONE:
		break;
	}
	return NULL;
}

/*
 * libjpeg prints the reason of a fatal error to the stream stderr by itself,
 * and standard error is promised to be one sentence of ours.  The stream is
 * pointed elsewhere meanwhile; the descriptor stays, for us and sanitizers.
 */
static gdImagePtr
decode_quietly(const struct picture *p)
{
	FILE *saved = stderr, *nowhere;
	gdImagePtr im;

	decoder_said[0] = '\0';
	gdSetErrorMethod(note_complaint);
	nowhere = fopen("/dev/null", "w");
	if (nowhere != NULL)
		stderr = nowhere;
	im = decode(p->type, (int)p->bytes.len, p->bytes.buf);
	stderr = saved;
	if (nowhere != NULL)
		fclose(nowhere);
	return im;
}

enum err_code
picture_decode(const struct picture *p, gdImagePtr *out, struct err *e)
{
	enum err_code rc = ERR_OK;
	gdImagePtr im;

	im = decode_quietly(p);
	if (im == NULL || (p->type == IMAGE_JPEG && is_damage(decoder_said))) {
		rc = err_set(e, ERR_INVALID,
		    "the %s picture is damaged and cannot be decoded",
		    picture_type_name(p->type));
		goto out;
	}
	if (!gdImageTrueColor(im) && !gdImagePaletteToTrueColor(im)) {
		rc = err_set(e, ERR_SYSTEM, "no memory for the pixels");
		goto out;
	}
	*out = im;
	im = NULL;
out:
	if (im != NULL)
		gdImageDestroy(im);
	return rc;
}
