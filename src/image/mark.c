/*
 * The mark every finished picture carries: an XMP packet that says a machine
 * made it, with which model, for which run.
 *
 * Readers of content credentials look for IPTC's DigitalSourceType; our own
 * namespace holds what leads back to the run.  The packet goes beside the
 * pixels (PNG: iTXt "XML:com.adobe.xmp" before the first IDAT; JPEG: APP1
 * behind JFIF and EXIF) and replaces one that was there; every other chunk
 * and segment stays byte for byte.
 *
 * Values come from a provider's name and a command line: XML-escaped, and
 * characters XML forbids become blanks.  The prompt itself is never written,
 * only its hash.
 */
#include "image.h"

#include "xalloc.h"

#define MAX_XMP_BYTES 16384	/* far below the 64 KB of an APP1 */
#define MAX_VALUE_BYTES 512
#define SOURCE_TYPE "http://cv.iptc.org/newscodes/digitalsourcetype/" \
	"trainedAlgorithmicMedia"
#define NS_CHURNS "urn:churns:xmp:1.0/"

/* Keyword with NUL; not compressed (2 bytes); no language, no translation. */
static const char png_prefix[] = "XML:com.adobe.xmp\0\0\0\0";
#define PNG_PREFIX_BYTES 22
static const char jpeg_prefix[] = "http://ns.adobe.com/xap/1.0/";
#define JPEG_PREFIX_BYTES sizeof(jpeg_prefix)	/* its NUL belongs to it */
static const char jpeg_more_prefix[] = "http://ns.adobe.com/xmp/extension/";

/* --- writing ----------------------------------------------------------- */

static void
add_escaped(struct strbuf *sb, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = 0;

	for (; *p != '\0' && n < MAX_VALUE_BYTES; p++, n++) {
		switch (*p) {
		case '&':
			strbuf_addstr(sb, "&amp;");
			break;
		case '<':
			strbuf_addstr(sb, "&lt;");
			break;
		case '>':
			strbuf_addstr(sb, "&gt;");
			break;
		case '"':
			strbuf_addstr(sb, "&quot;");
			break;
		case '\'':
			strbuf_addstr(sb, "&apos;");
			break;
		default:
			/* Values are ASCII by nature; others cannot break XML
			 * when left out, whatever their encoding. */
			strbuf_addch(sb, *p < 0x20 || *p > 0x7e ? ' ' :
			    (char)*p);
			break;
		}
	}
}

static void
add_element(struct strbuf *sb, const char *name, const char *value)
{
	strbuf_addf(sb, "   <%s>", name);
	add_escaped(sb, value);
	strbuf_addf(sb, "</%s>\n", name);
}

static void
add_packet(struct strbuf *sb, const struct mark *m)
{
	strbuf_addstr(sb, "<?xpacket begin=\"\xef\xbb\xbf\" "
	    "id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
	    "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n"
	    " <rdf:RDF xmlns:rdf="
	    "\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n"
	    "  <rdf:Description rdf:about=\"\"\n"
	    "    xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\"\n"
	    "    xmlns:dc=\"http://purl.org/dc/elements/1.1/\"\n"
	    "    xmlns:Iptc4xmpExt="
	    "\"http://iptc.org/std/Iptc4xmpExt/2008-02-29/\"\n"
	    "    xmlns:churns=\"" NS_CHURNS "\">\n");
	add_element(sb, "Iptc4xmpExt:DigitalSourceType", SOURCE_TYPE);
	add_element(sb, "xmp:CreatorTool", "Churns " CHURNS_VERSION);
	add_element(sb, "churns:runId", m->run_id);
	add_element(sb, "churns:model", m->model);
	add_element(sb, "churns:promptHash", m->prompt_hash);
	if (m->simulated)
		strbuf_addstr(sb, "   <churns:simulated>True"
		    "</churns:simulated>\n   <dc:description><rdf:Alt>"
		    "<rdf:li xml:lang=\"x-default\">Simulated: drawn by "
		    "churns-sim in place of an image model."
		    "</rdf:li></rdf:Alt></dc:description>\n");
	strbuf_addstr(sb, "  </rdf:Description>\n </rdf:RDF>\n"
	    "</x:xmpmeta>\n<?xpacket end=\"r\"?>");
}

static bool
is_png_xmp(const struct png_chunk *c)
{
	return memcmp(c->type, "iTXt", 4) == 0 && c->body_len >= 18 &&
	    memcmp(c->body, png_prefix, 18) == 0;
}

static bool
is_jpeg_xmp(const struct jpeg_segment *s)
{
	if (s->marker != 0xe1)
		return false;
	if (s->body_len >= JPEG_PREFIX_BYTES &&
	    memcmp(s->body, jpeg_prefix, JPEG_PREFIX_BYTES) == 0)
		return true;
	return s->body_len >= sizeof(jpeg_more_prefix) &&
	    memcmp(s->body, jpeg_more_prefix, sizeof(jpeg_more_prefix)) == 0;
}

static void
write_png(const struct picture *p, const struct strbuf *packet,
    struct strbuf *out)
{
	struct strbuf body = STRBUF_INIT(MAX_XMP_BYTES + PNG_PREFIX_BYTES);
	struct png_chunk c;
	size_t at = 0;

	strbuf_add(&body, png_prefix, PNG_PREFIX_BYTES);
	strbuf_add(&body, packet->buf, packet->len);
	strbuf_add(out, p->bytes.buf, 8);
	while (png_next(&p->bytes, &at, &c)) {
		if (!is_png_xmp(&c))
			strbuf_add(out, c.start, c.len);
		if (memcmp(c.type, "IHDR", 4) == 0)
			png_add_chunk(out, "iTXt", body.buf, body.len);
		if (memcmp(c.type, "IEND", 4) == 0)
			break;		/* what trails is not the picture */
	}
	strbuf_release(&body);
}

static void
write_jpeg(const struct picture *p, const struct strbuf *packet,
    struct strbuf *out)
{
	struct strbuf segment = STRBUF_INIT(MAX_XMP_BYTES + JPEG_PREFIX_BYTES +
	    4);
	size_t len = packet->len + JPEG_PREFIX_BYTES + 2;

	strbuf_addch(&segment, (char)0xff);
	strbuf_addch(&segment, (char)0xe1);
	strbuf_addch(&segment, (char)(len >> 8 & 0xff));
	strbuf_addch(&segment, (char)(len & 0xff));
	strbuf_add(&segment, jpeg_prefix, JPEG_PREFIX_BYTES);
	strbuf_add(&segment, packet->buf, packet->len);
	jpeg_rewrite(&p->bytes, is_jpeg_xmp, &segment, out);
	strbuf_release(&segment);
}

enum err_code
mark_write(const struct picture *p, const struct mark *m, struct strbuf *out,
    struct err *e)
{
	struct strbuf packet = STRBUF_INIT(MAX_XMP_BYTES);
	enum err_code rc = ERR_OK;

	add_packet(&packet, m);
	if (strbuf_overflowed(&packet)) {
		rc = err_set(e, ERR_SYSTEM, "the metadata is too long");
		goto out;
	}
	if (p->type == IMAGE_PNG)
		write_png(p, &packet, out);
	else
		write_jpeg(p, &packet, out);
	if (strbuf_overflowed(out))
		rc = err_set(e, ERR_SYSTEM, "the marked picture is too large");
out:
	strbuf_release(&packet);
	return rc;
}

/* --- reading ----------------------------------------------------------- */

/* A copy of the packet in p, or NULL. */
static char *
find_packet(const struct picture *p)
{
	struct jpeg_segment s;
	struct png_chunk c;
	size_t at = 0;

	if (p->type == IMAGE_PNG) {
		while (png_next(&p->bytes, &at, &c))
			if (is_png_xmp(&c) && c.body_len > PNG_PREFIX_BYTES &&
			    memcmp(c.body, png_prefix, PNG_PREFIX_BYTES) == 0)
				return xstrndup((const char *)c.body +
				    PNG_PREFIX_BYTES,
				    c.body_len - PNG_PREFIX_BYTES);
	} else if (p->type == IMAGE_JPEG) {
		while (jpeg_next(&p->bytes, &at, &s))
			if (is_jpeg_xmp(&s) && s.body_len > JPEG_PREFIX_BYTES &&
			    s.body[7] == 'n' && s.body[JPEG_PREFIX_BYTES - 1] ==
			    '\0')
				return xstrndup((const char *)s.body +
				    JPEG_PREFIX_BYTES,
				    s.body_len - JPEG_PREFIX_BYTES);
	}
	return NULL;
}

static void
add_unescaped(struct strbuf *sb, const char *s, size_t len)
{
	static const struct {
		const char *entity;
		char c;
	} entities[] = {
		{ "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' },
		{ "&quot;", '"' }, { "&apos;", '\'' },
	};
	size_t i = 0, k, n;

	while (i < len) {
		for (k = 0; k < ARRAY_LEN(entities); k++) {
			n = strlen(entities[k].entity);
			if (n <= len - i &&
			    memcmp(s + i, entities[k].entity, n) == 0)
				break;
		}
		if (k < ARRAY_LEN(entities)) {
			strbuf_addch(sb, entities[k].c);
			i += n;
		} else {
			strbuf_addch(sb, s[i++]);
		}
	}
}

static bool
put_element(struct json_object *o, const char *key, const char *packet,
    const char *name)
{
	struct strbuf value = STRBUF_INIT(MAX_XMP_BYTES);
	char open[80], close[80];
	const char *start, *end = NULL;

	snprintf(open, sizeof(open), "<%s>", name);
	snprintf(close, sizeof(close), "</%s>", name);
	start = strstr(packet, open);
	if (start != NULL) {
		start += strlen(open);
		end = strstr(start, close);
	}
	if (end != NULL)
		add_unescaped(&value, start, (size_t)(end - start));
	json_put_str(o, key, end != NULL ? value.buf : NULL);
	strbuf_release(&value);
	return end != NULL;
}

enum err_code
mark_read(const struct picture *p, struct json_object **out, struct err *e)
{
	struct json_object *o = NULL;
	enum err_code rc = ERR_OK;
	char *packet;

	packet = find_packet(p);
	if (packet == NULL || strstr(packet, NS_CHURNS) == NULL) {
		rc = err_set(e, ERR_NOT_FOUND,
		    "the picture carries no mark of ours");
		goto out;
	}
	o = json_object_new_object();
	put_element(o, "run_id", packet, "churns:runId");
	put_element(o, "model", packet, "churns:model");
	put_element(o, "prompt_hash", packet, "churns:promptHash");
	put_element(o, "digital_source_type", packet,
	    "Iptc4xmpExt:DigitalSourceType");
	put_element(o, "creator_tool", packet, "xmp:CreatorTool");
	json_put_bool(o, "simulated",
	    strstr(packet, "<churns:simulated>True<") != NULL);
	*out = o;
out:
	free(packet);
	return rc;
}
