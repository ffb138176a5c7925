/*
 * Writing HTML: escaping by output position, and the part of Markdown that the
 * texts of the API document use.
 *
 *   blocks   paragraphs; headings (#, ##); lists (- and 1.), their items
 *            continued by indented lines; tables (| a | b |, the second row of
 *            dashes); code between lines of ```
 *   inline   `code`, **strong**, [text](target), where target begins with #,
 *            / or http
 *
 * Everything else is text.  No markup of the text's own gets through.
 */
#ifndef API_HTML_H
#define API_HTML_H

#include <stddef.h>

#include "strbuf.h"

#define HTML_SLUG_MAX 80

/* As text, and as the value of an attribute in double quotes. NULL: nothing. */
void html_text(struct strbuf *out, const char *s);
void html_text_n(struct strbuf *out, const char *s, size_t len);

void html_inline(struct strbuf *out, const char *s, size_t len);

/* "#" becomes <hN> with N = level and an id made of its words. */
void html_markdown(struct strbuf *out, const char *text, int level);

/* For ids: lower case letters, digits and hyphens. */
void html_slug(const char *s, size_t len, char out[HTML_SLUG_MAX]);

/* The text of the next heading "# ..." in *at (not of "##"), or NULL; *at moves
 * behind it. */
const char *html_next_heading(const char **at, size_t *len);

#endif
