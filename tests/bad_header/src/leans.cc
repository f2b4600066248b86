#include <string_view>

#include "leans.h"
