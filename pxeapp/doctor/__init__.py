"""`pxeapp doctor`: looks at everything the appliance needs, says what is wrong and what to do; it moves nothing."""
