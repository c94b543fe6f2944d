/* CPU time of processes, user and system together, in seconds. */
#pragma once

double cpu_self(void);
double cpu_of(int pid); /* of all its threads; 0 when there is no such process */
