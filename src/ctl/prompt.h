/*
 * Between the two files of the command prompt.
 */
#ifndef CTL_PROMPT_H
#define CTL_PROMPT_H

#include "ctl.h"

/*
 * The document of --json, for people.
 *
 *   run_id, stage
 *   idle      why the stage has nothing to send, or null
 *   calls     what was shown, in order; see call_view() in prompt.c
 *   problems  {variant|null, message}: why nothing was shown
 */
void prompt_print(const struct json_object *doc);

#endif
