/*
 * Calls that do not compile in this project, because each has a safer
 * sibling: unbounded copies, hidden static buffers, a shell, silent parsing.
 * Every source file has it through err.h.  system() is banned too, by
 * tests/lint: as a word it is a fine name for the system part of a prompt.
 */
#ifndef CHURNS_BANNED_H
#define CHURNS_BANNED_H

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef alloca			/* a macro of <stdlib.h>; poisoning one warns */
#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok gmtime localtime
#pragma GCC poison ctime asctime alloca popen rand srand atoi atol atof

#endif
