/* A locale in which printf writes 1,5 and strtod reads it. */
#ifndef TEST_LOCALE_H
#define TEST_LOCALE_H

#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* One of its own, as machines seldom have another than C. */
static bool make_locale(void)
{
    char folder[] = "/tmp/locale.XXXXXX", command[400];
    if (!mkdtemp(folder)) return false;
    snprintf(command, sizeof command,
             "printf 'comment_char %%%%\\nescape_char /\\nLC_NUMERIC\\ndecimal_point \"<U002C>\"\\nthousands_sep \"\"\\n"
             "grouping -1\\nEND LC_NUMERIC\\n' >%s/comma && localedef -c -i %s/comma -f UTF-8 %s/comma.UTF-8 2>/dev/null",
             folder, folder, folder);
    int status = system(command); /* which is not 0, since the locale has nothing else */
    setenv("LOCPATH", folder, 1);
    bool is_set = status != -1 && setlocale(LC_NUMERIC, "comma.UTF-8") != NULL;
    unsetenv("LOCPATH");
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 && is_set;
}

/* False: there is none here, and that is said; else setlocale(LC_NUMERIC, "C") ends it. */
static bool use_comma(void)
{
    char text[8];
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !make_locale()) return printf("# no locale with a comma here\n"), false;
    snprintf(text, sizeof text, "%.1f", 1.5);
    return text[1] == ',';
}

#endif
