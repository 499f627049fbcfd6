/* The budget of failovers that are load on a server. */
#ifndef CL_CORE_BUDGET_H
#define CL_CORE_BUDGET_H

#include <stdint.h>

/* Automatic failovers: at most a tenth of the calls of the last ten seconds, or a hundred. */
typedef struct cl_budget {
    int64_t second;
    uint32_t calls[10], spent[10];
    uint64_t calls_sum, spent_sum;
} cl_budget;

void cl_budget_call(cl_budget *b, int64_t now);
int cl_budget_take(cl_budget *b, int64_t now);
void cl_budget_give_back(cl_budget *b); /* what was just taken */

#endif
