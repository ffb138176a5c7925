/*
 * Files: whole, durable, and beneath a directory.
 *
 * Names from outside never become paths: file_safe_name() makes a base name,
 * file_open_beneath() refuses anything that leaves the directory it is given
 * (openat2 with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS; where the kernel or a
 * sandbox refuses that call, per component with O_NOFOLLOW).
 */
#ifndef CHURNS_FILE_H
#define CHURNS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "err.h"
#include "strbuf.h"

#define FILE_NAME_MAX 100	/* bytes of a safe name, with the NUL */

/* mkdir -p with mode for what is made. ERR_SYSTEM, ERR_FULL. */
enum err_code file_make_dirs(const char *path, mode_t mode, struct err *e);

/* An open directory (O_PATH is not enough for fsync). Caller closes. */
enum err_code file_open_dir(int at, const char *path, int *out_fd, struct err *e);

/* Open path (relative, may have slashes) beneath dirfd with open(2) flags and
 * mode. ERR_NOT_FOUND, ERR_FORBIDDEN (leaves the directory, is a link),
 * ERR_SYSTEM, ERR_FULL. O_CLOEXEC is added. */
enum err_code file_open_beneath(int dirfd, const char *path, int flags,
    mode_t mode, int *out_fd, struct err *e);

/* Whole file into out (appended); ERR_TOO_LARGE over max bytes. */
enum err_code file_read_fd(int fd, size_t max, struct strbuf *out, struct err *e);
enum err_code file_read(const char *path, size_t max, struct strbuf *out,
    struct err *e);

/* All of data, over EINTR and short writes. ERR_FULL, ERR_SYSTEM. */
enum err_code file_write_all(int fd, const void *data, size_t len, struct err *e);

/*
 * Write name (no slash) in dirfd whole: temporary file, fsync, rename, fsync
 * of the directory. After a failure the old file, if any, is untouched and no
 * temporary file is left. Temporary names start with ".tmp-".
 */
enum err_code file_replace(int dirfd, const char *name, const void *data,
    size_t len, mode_t mode, struct err *e);

/* Remove what a file_replace() left in dirfd when its process was killed; what
 * cannot be removed stays. Nobody may be writing there. */
void file_remove_temporaries(int dirfd);

/* fsync fd, rename from to in dirfd, fsync dirfd. On failure from is unlinked. */
enum err_code file_commit(int fd, int dirfd, const char *from, const char *to,
    struct err *e);

/* What a copy came to; begin with zeros. */
struct file_copied {
	int64_t files, bytes;
};

/*
 * Copy a file to a name that is not there yet, with its mode and times; *bytes
 * is its size.  After a failure there is no such name.  ERR_NOT_FOUND,
 * ERR_INVALID (no regular file), ERR_FULL, ERR_SYSTEM.
 */
enum err_code file_copy(int from_dirfd, const char *from, int to_dirfd,
    const char *to, int64_t *bytes, struct err *e);
/*
 * Copy a directory with all files and directories in it, without links and
 * half-written files, into one that is made if it is not there.  What vanishes
 * meanwhile is left out; ERR_NOT_FOUND when from itself is not there.  After a
 * failure a part is there.
 */
enum err_code file_copy_tree(int from_at, const char *from, int to_at,
    const char *to, struct file_copied *n, struct err *e);
/* Everything written to the file system of dirfd is on the disk. */
enum err_code file_sync_all(int dirfd, struct err *e);

/* Remove a directory with everything in it; what is gone already is fine.
 * Links are removed, never followed. */
enum err_code file_remove_tree(int at, const char *path, struct err *e);

/*
 * A base name made of [A-Za-z0-9._-] from a name sent by a client: the part
 * after the last / or \, other bytes become '_', leading dots go, cut to fit
 * with its extension kept. Nothing usable left gives "uploaded_image".
 */
void file_safe_name(const char *sent, char out[FILE_NAME_MAX]);

enum image_type { IMAGE_NONE, IMAGE_PNG, IMAGE_JPEG, IMAGE_WEBP, IMAGE_GIF };

/* By its first bytes (16 are enough); IMAGE_NONE when it is none of them. */
enum image_type image_sniff(const void *data, size_t len);
enum image_type image_sniff_fd(int fd);
const char *image_mime(enum image_type t);	/* "image/png"; NULL for IMAGE_NONE */
const char *image_extension(enum image_type t);	/* "png", "jpg", ...; NULL */

/* Width and height from a header without decoding (PNG, JPEG, WebP lossy,
 * lossless and extended, GIF); false when they cannot be read. */
bool image_dimensions(const void *data, size_t len, int *out_w, int *out_h);
/* From an open file; reads as far as a JPEG's segments make it. */
bool image_dimensions_fd(int fd, int *out_w, int *out_h);

#endif
