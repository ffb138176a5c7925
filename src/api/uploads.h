/* Temporary files of uploads: data_dir/uploads/up-PID-UUID (submit/form.c). */
#ifndef API_UPLOADS_H
#define API_UPLOADS_H

#include "err.h"

/* Remove what processes that are gone have left there. */
enum err_code uploads_sweep(const char *data_dir, struct err *e);

#endif
