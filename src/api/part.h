/* What a part of a multipart body says of itself; for multipart.c. */
#ifndef API_PART_H
#define API_PART_H

#include "multipart.h"

struct part_head {
	char name[MAX_FIELD_NAME_BYTES + 1];	/* UTF-8, no control characters */
	char filename[MAX_FILENAME_BYTES + 1];	/* as sent, perhaps not UTF-8 */
	char content_type[MAX_FIELD_NAME_BYTES + 1];	/* "" when none */
	bool has_disposition, has_name;
	bool has_filename, has_extended;	/* filename=, filename*=: a file */
};

/* The boundary named by a whole Content-Type. ERR_INVALID. */
enum err_code part_boundary(const char *content_type,
    char out[MAX_BOUNDARY_BYTES + 1], struct err *e);

/* Read a block of header lines with their CRLFs and the empty line at its end;
 * block is cut up. ERR_INVALID. */
enum err_code part_read(char *block, size_t len, struct part_head *out,
    struct err *e);

#endif
