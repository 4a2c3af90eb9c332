# What the site does not want.
remove_packages="{{ site.packages_remove | join(" ") }}"
for package in $remove_packages; do
    case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) in
        ?i*) DEBIAN_FRONTEND=noninteractive apt-get -q -y purge "$package" ;;
    esac
done
