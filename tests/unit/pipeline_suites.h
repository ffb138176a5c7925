/* The cases of the pipeline's test program, one per file. */
#ifndef PIPELINE_SUITES_H
#define PIPELINE_SUITES_H

#include <check.h>

TCase *pipeline_plan_case(void);
TCase *pipeline_job_case(void);
TCase *pipeline_lanes_case(void);
TCase *pipeline_resume_case(void);
TCase *pipeline_trouble_case(void);
TCase *pipeline_results_case(void);
TCase *pipeline_pixels_case(void);

#endif
