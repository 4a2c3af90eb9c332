"""Software: releases, install media, mirrors and repositories."""
