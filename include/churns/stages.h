/*
 * The table of stages.  stage_table.c has the recipe for adding one above it.
 */
#ifndef CHURNS_STAGES_H
#define CHURNS_STAGES_H

#include "stage.h"

extern const struct stage stage_table[];
extern const int stage_table_len;

#endif
